// out[r, c] = (x[r, c] - mean[r]) / sqrt(variance[r] + epsilon) * scale[c] + bias[c], moments over the row.
//
// Shapes: x (R,C), out (R,C), scale (C), bias (C), row-major without padding, fp32 or fp16 (HALF) in memory; out may be
// x. This is the plain kernel: one work-item per row, 3 reads + 1 write of R*C values. layernorm_gpu.cl is shaped for
// wavefronts, layernorm_cpu.cl for a processor's cores.
//
// Numerics of all three: the mean m is rounded, so the second pass takes sums of x - m and of its square, from which
// follow the rest of the mean and the variance (the corrected two-pass algorithm: T. F. Chan, G. H. Golub and R. J.
// LeVeque, The American Statistician 37(3), 1983, doi 10.1080/00031305.1983.10483115). A mean that is large beside the
// spread then cancels nothing that matters.

#include "mac.h"
#include "storage.h"

// Values that are added up before they join the total; unit: values. So errors grow with C / 64 and not with C.
#define SUM_BLOCK 64

__kernel void layernorm_plain(const __global stored *x, const __global stored *scale, const __global stored *bias,
                              __global stored *out, const uint n_rows, const uint n_cols, const float epsilon) {
  const size_t row = get_global_id(0);
  if (row >= n_rows) {
    return;
  }
  x += row * n_cols;
  out += row * n_cols;
  const float share = 1.0f / n_cols;
  float mean = 0.0f;
  for (uint start = 0; start < n_cols; start += SUM_BLOCK) {
    float part = 0.0f;
    for (uint i = start; i < min(start + SUM_BLOCK, n_cols); ++i) {
      part += READ(x + i);
    }
    mean += part;
  }
  mean *= share;
  float rest = 0.0f, squares = 0.0f;
  for (uint start = 0; start < n_cols; start += SUM_BLOCK) {
    float part = 0.0f, part_squares = 0.0f;
    for (uint i = start; i < min(start + SUM_BLOCK, n_cols); ++i) {
      const float d = READ(x + i) - mean;
      part += d;
      part_squares = MAC(d, d, part_squares);
    }
    rest += part;
    squares += part_squares;
  }
  rest *= share;
  const float variance = squares * share - rest * rest;
  const float factor = 1.0f / sqrt((variance < 0.0f ? 0.0f : variance) + epsilon); // a NaN stays one
  for (uint i = 0; i < n_cols; ++i) {
    const float d = READ(x + i) - mean - rest;
    WRITE(MAC(d * factor, READ(scale + i), READ(bias + i)), out + i);
  }
}
