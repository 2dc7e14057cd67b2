// C = (A - zero points) @ (B - zero points) in int8, summed exactly in int32: one work-item per element.
//
// Shapes: A (M,K), B (K,N), row-major, int8 or uint8 each (flips of 128 or 0); zero points of A (1) or (M), of B (1) or
// (N); bias (N) in int32; scales in fp32, (1) or (N), and one more per row, (1) or (M); C (M,N) as OUTPUT says. A step
// of 0 makes one value serve all rows or columns. NDRange: (N, M), any work-group. Sums wrap around at 2^32.

#include "requantize.h"

__kernel void gemm_i8_i8_plain(const int M, const int N, const int K, const __global uchar *restrict a,
                               const __global uchar *restrict b, const int a_flip, const int b_flip,
                               const __global uchar *restrict a_zero, const int a_step,
                               const __global uchar *restrict b_zero, const int b_step,
                               const __global int *restrict bias, const int bias_step,
                               const __global float *restrict scale, const int scale_step,
                               const __global float *restrict row_scale, const int row_step, const int zero_point,
                               const int lowest, __global result *restrict c) {
  const size_t column = get_global_id(0);
  const size_t row = get_global_id(1);
  if (row >= M || column >= N) {
    return;
  }
  const uchar za = a_zero[row * a_step];
  const uchar zb = b_zero[column * b_step];
  a += row * K;
  b += column;
  int sum = bias[column * bias_step];
  for (int k = 0; k < K; ++k, b += N) {
    sum = mad24(BYTE_LESS(a[k], za, a_flip), BYTE_LESS(*b, zb, b_flip), sum);
  }
  c[row * N + column] = requantize(sum, scale[column * scale_step] * row_scale[row * row_step], zero_point, lowest);
}
