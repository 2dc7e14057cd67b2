// y = act(alpha * W @ x + bias + residual) for processors: W is read once, eight rows at a time, as eight streams.
//
// Shapes: W (N,K); x (R,K), that is R vectors, shaped for few; y and residual (R,N); bias (N); row-major, no padding.
// W in `stored` elements, all else in `value` elements. NDRange: (ceil(N/tile_n)) in work-groups of one.
// Traffic from memory: W once, as long as eight rows of it stay in L2 while the vectors pass over them; x from L1.
//
// Bound by memory: one stream of a row's length leaves the prefetchers idle at each start, and eight hide it better than
// four (26 against 23 GB/s on one core of Zen 4). The eight sums are independent chains of multiply-adds.

#include "lanes.h"
#include "values.h"

#define INLINE static inline __attribute__((always_inline))

#define ROWS_8(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
// Rows that are not there are read as the last one, and not stored.
#define POINT_AT_ROW(i) const __global stored *w##i = w + (size_t)min(i, last) * K;
#define ZERO_SUM(i) float8 sum##i = (float8)(0.0f);
#define ADD_PRODUCT(i) sum##i = MAC(READ8(w##i + k), v, sum##i);
#define ADD_TAIL(i) total.s##i = MAC(READ(w##i + k), v, total.s##i);
#define ADD_LANES(i) total.s##i += SUM_8(sum##i);

// The products of eight rows with x, each summed over K.
INLINE float8 products(const int K, const int last, const __global stored *w, const __global value *x) {
  ROWS_8(POINT_AT_ROW)
  ROWS_8(ZERO_SUM)
  int k = 0;
  for (; k + 8 <= K; k += 8) {
    const float8 v = READ_VALUE8(x + k);
    ROWS_8(ADD_PRODUCT)
  }
  float8 total = (float8)(0.0f);
  for (; k < K; ++k) {
    const float v = READ_VALUE(x + k);
    ROWS_8(ADD_TAIL)
  }
  ROWS_8(ADD_LANES)
  return total;
}

// tile_n: rows of W per work-item, a multiple of 8. 64 make a work-item worth its start, and leave many of them.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemv_cpu(const int N, const int K, const int R, const __global stored *restrict w, const __global value *restrict x,
         const float alpha, const int has_bias, const __global value *bias, const int has_residual,
         const __global value *residual, const float activation_alpha, const float activation_beta, __global value *y,
         const int tile_n) {
  const int end = min((int)(get_group_id(0) + 1) * tile_n, N);
  for (int n = get_group_id(0) * tile_n; n < end; n += 8) {
    for (int r = 0; r < R; ++r) {
      float8 v = products(K, end - n - 1, w + (size_t)n * K, x + (size_t)r * K) * alpha;
      const size_t at = (size_t)r * N + n;
      if (end - n >= 8) {
        if (has_bias) {
          v += READ_VALUE8(bias + n);
        }
        if (has_residual) {
          v += READ_VALUE8(residual + at);
        }
        WRITE_VALUE8(ACTIVATE8(v, activation_alpha, activation_beta), y + at);
      } else {
        const float one[8] = {v.s0, v.s1, v.s2, v.s3, v.s4, v.s5, v.s6, v.s7};
        for (int i = 0; i < end - n; ++i) {
          const float more = (has_bias ? READ_VALUE(bias + n + i) : 0.0f);
          const float sum = one[i] + more + (has_residual ? READ_VALUE(residual + at + i) : 0.0f);
          WRITE_VALUE(ACTIVATE(sum, activation_alpha, activation_beta), y + at + i);
        }
      }
    }
  }
}
