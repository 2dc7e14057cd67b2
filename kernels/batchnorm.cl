// out[n, c, i] = activation((x[n, c, i] - mean[c]) * scale[c] / sqrt(variance[c] + epsilon) + bias[c]).
//
// Shapes: x, out (N,C,I), where I are all axes after the channels; scale, bias, mean, variance (C); fp32 or fp16 (HALF)
// in memory; out may be x. The mean is subtracted first: folded into the bias it would cancel where it is large. This
// is the plain kernel: one work-item per value, 1 read + 1 write of N*C*I values. batchnorm_cpu.cl is for processors.

#include "mac.h"
#include "epilogue.h"
#include "storage.h"

__kernel void batchnorm_plain(const __global stored *x, const __global stored *scale, const __global stored *bias,
                              const __global stored *mean, const __global stored *variance, __global stored *out,
                              const uint n_values, const uint n_channels, const uint inner, const float epsilon,
                              const float alpha, const float beta) {
  const uint i = get_global_id(0);
  if (i >= n_values) {
    return;
  }
  const uint c = i / inner % n_channels;
  const float factor = READ(scale + c) / sqrt(READ(variance + c) + epsilon);
  const float v = MAC(READ(x + i) - READ(mean + c), factor, READ(bias + c));
  WRITE(ACTIVATE(v, alpha, beta), out + i);
}
