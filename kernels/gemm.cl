// C = A @ B, one work-item per element: short, right on every device, and the yardstick of the other templates.
//
// Shapes: A (M,K), B (K,N), C (M,N), row-major, fp32, no padding between rows. NDRange: (N, M), any work-group.
// Traffic: 2*K reads and 1 write per element of C; neighbours in a row share the loads of A and coalesce those of B.

#include "mac.h"

__kernel void gemm_plain(const int M, const int N, const int K, const __global float *restrict a,
                         const __global float *restrict b, __global float *restrict c) {
  const size_t column = get_global_id(0);
  const size_t row = get_global_id(1);
  if (row >= M || column >= N) {
    return;
  }
  a += row * K;
  b += column;
  float sum = 0.0f;
  for (int k = 0; k < K; ++k) {
    sum = MAC(a[k], b[(size_t)k * N], sum);
  }
  c[row * N + column] = sum;
}
