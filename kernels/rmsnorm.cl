// out[r, c] = v[r, c] / sqrt(mean over the row of v^2 + epsilon) * scale[c], where v = x, or with RESIDUAL x + residual.
//
// Shapes: x, residual, total, out (R,C), scale (C), row-major without padding, fp32 or fp16 (HALF) in memory; out may
// be x. With RESIDUAL, total = v is a second output, rounded as stored, and what is normalized is that rounded sum.
// Squares must not overflow fp32. This is the plain kernel: one work-item per row, 2 reads + 1 write of R*C values
// (with RESIDUAL 1 read + 1 write more). rmsnorm_gpu.cl is shaped for wavefronts, rmsnorm_cpu.cl for a processor.

#include "mac.h"
#include "storage.h"

// 1: add `residual` first and give the sum too; 0: residual and total are not touched.
#ifndef RESIDUAL
#define RESIDUAL 0
#endif
// Values that are added up before they join the total; unit: values. So errors grow with C / 64 and not with C.
#define SUM_BLOCK 64

__kernel void rmsnorm_plain(const __global stored *x, const __global stored *scale, const __global stored *residual,
                            __global stored *out, __global stored *total, const uint n_rows, const uint n_cols,
                            const float epsilon) {
  const size_t row = get_global_id(0);
  if (row >= n_rows) {
    return;
  }
  x += row * n_cols;
  out += row * n_cols;
#if RESIDUAL
  residual += row * n_cols;
  total += row * n_cols;
  for (uint i = 0; i < n_cols; ++i) {
    WRITE(READ(x + i) + READ(residual + i), total + i);
  }
  x = total;
#endif
  float squares = 0.0f;
  for (uint start = 0; start < n_cols; start += SUM_BLOCK) {
    float part = 0.0f;
    for (uint i = start; i < min(start + SUM_BLOCK, n_cols); ++i) {
      const float v = READ(x + i);
      part = MAC(v, v, part);
    }
    squares += part;
  }
  const float factor = 1.0f / sqrt(squares / n_cols + epsilon);
  for (uint i = 0; i < n_cols; ++i) {
    WRITE(READ(x + i) * factor * READ(scale + i), out + i);
  }
}
