// out[r, c] = exp(x[r, c] - m[r]) / s[r], where m is the row's maximum and s the row's sum of those exponentials.
//
// Shapes: x (R,C), out (R,C), fp32 or fp16 (HALF) in memory, row-major without padding; out may be x. A row that holds
// NaN or +infinity, or only -infinity, becomes NaN throughout, as in numpy. This is the plain kernel: one work-item per
// row, 3 reads + 1 write of R*C values. softmax_gpu.cl and softmax_wave.cl are shaped for wavefronts, softmax_cpu.cl for
// a processor's cores, softmax_strided.cl and softmax_cpu_strided.cl for another axis than the last.

#include "exp.h"
#include "storage.h"

// Values that are added up before they join the total; unit: values. So errors grow with C / 64 and not with C.
#define SUM_BLOCK 64

DEFINE_EXP(exp_of, float, int)

__kernel void softmax_plain(const __global stored *x, __global stored *out, const uint n_rows, const uint n_cols) {
  const size_t row = get_global_id(0);
  if (row >= n_rows) {
    return;
  }
  x += row * n_cols;
  out += row * n_cols;
  float top = -INFINITY;
  for (uint i = 0; i < n_cols; ++i) {
    top = fmax(top, READ(x + i));
  }
  float sum = 0.0f;
  for (uint start = 0; start < n_cols; start += SUM_BLOCK) {
    float part = 0.0f;
    for (uint i = start; i < min(start + SUM_BLOCK, n_cols); ++i) {
      part += exp_of(READ(x + i) - top);
    }
    sum += part;
  }
  const float scale = 1.0f / sum;
  for (uint i = 0; i < n_cols; ++i) {
    WRITE(exp_of(READ(x + i) - top) * scale, out + i);
  }
}
