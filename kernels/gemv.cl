// y = act(alpha * W @ x + bias + residual), one work-item per element: the yardstick of the other templates.
//
// Shapes: W (N,K); x (R,K), that is R vectors; y and residual (R,N); bias (N); row-major, no padding. W in `stored`
// elements, all else in `value` elements. NDRange: (N, R), any work-group. Traffic: 2*K reads, 1 write per element of y.

#include "values.h"

__kernel void gemv_plain(const int N, const int K, const int R, const __global stored *restrict w,
                         const __global value *restrict x, const float alpha, const int has_bias,
                         const __global value *restrict bias, const int has_residual,
                         const __global value *restrict residual, const float activation_alpha,
                         const float activation_beta, __global value *restrict y) {
  const size_t n = get_global_id(0);
  const size_t r = get_global_id(1);
  if (n >= N || r >= R) {
    return;
  }
  w += n * K;
  x += r * K;
  float sum = 0.0f;
  for (int k = 0; k < K; ++k) {
    sum = MAC(READ(w + k), READ_VALUE(x + k), sum);
  }
  const size_t at = r * N + n;
  sum *= alpha;
  if (has_bias) {
    sum += READ_VALUE(bias + n);
  }
  if (has_residual) {
    sum += READ_VALUE(residual + at);
  }
  WRITE_VALUE(ACTIVATE(sum, activation_alpha, activation_beta), y + at);
}
