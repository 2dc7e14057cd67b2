// C = act(alpha * A @ B + bias + residual), one work-item per element: short, right on every device, and the yardstick
// of the other templates.
//
// Shapes: A (M,K) or, transposed, (K,M); B (K,N) or (N,K); C and residual (M,N); bias (N); row-major, `stored` elements
// (fp32 or fp16), no padding between rows. A batch of them lies in get_global_id(2): `offsets` holds, for each product,
// where its A and its B start, so that one operand may serve many. NDRange: (N, M, products), any work-group.
// Traffic: 2*K reads and 1 write per element of C; neighbours in a row share the loads of A and coalesce those of B.

#include "mac.h"
#include "storage.h"
// Last: includes are expanded once, and it holds some of them under a condition.
#include "epilogue.h"

__kernel void gemm_plain(const int M, const int N, const int K, const int transpose_a, const int transpose_b,
                         const __global long *restrict offsets, const __global stored *restrict a,
                         const __global stored *restrict b, const float alpha, const int has_bias,
                         const __global stored *restrict bias, const int has_residual,
                         const __global stored *restrict residual, const float activation_alpha,
                         const float activation_beta, __global stored *restrict c) {
  const size_t column = get_global_id(0);
  const size_t row = get_global_id(1);
  const size_t product = get_global_id(2);
  if (row >= M || column >= N) {
    return;
  }
  const size_t a_step = transpose_a ? M : 1, b_step = transpose_b ? 1 : N;
  a += offsets[2 * product] + (transpose_a ? row : row * K);
  b += offsets[2 * product + 1] + (transpose_b ? column * K : column);
  float sum = 0.0f;
  for (int k = 0; k < K; ++k, a += a_step, b += b_step) {
    sum = MAC(READ(a), READ(b), sum);
  }
  const size_t at = (product * M + row) * N + column;
  float v = sum * alpha;
  if (has_bias) {
    v += READ(bias + column);
  }
  if (has_residual) {
    v += READ(residual + at);
  }
  WRITE(ACTIVATE(v, activation_alpha, activation_beta), c + at);
}
