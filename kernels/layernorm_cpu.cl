// layernorm for processors with vector registers and caches: a work-item takes rows_per_item whole rows.
//
// Shapes and numerics as in layernorm.cl; out may be x. Work-groups of one; NDRange: ceil(R / rows_per_item). From
// memory: 1 read + 1 write of R*C values while a row fits into L2. Two float16 make four chains of AVX2 registers.

#include "lanes.h"
#include "mac.h"
#include "storage.h"

#define INLINE static inline __attribute__((always_inline))

INLINE float sum_of(const __global stored *x, const uint n) {
  float16 even = (float16)(0.0f), odd = even;
  uint i = 0;
  for (; i + 32 <= n; i += 32) {
    even += READ16(x + i);
    odd += READ16(x + i + 16);
  }
  float sum = SUM_16(even + odd);
  for (; i < n; ++i) {
    sum += READ(x + i);
  }
  return sum;
}

// Sums of x - mean and of its square: (sum, squares).
INLINE float2 moments_of(const __global stored *x, const float mean, const uint n) {
  float16 even = (float16)(0.0f), odd = even, even_squares = even, odd_squares = even;
  uint i = 0;
  for (; i + 32 <= n; i += 32) {
    const float16 d0 = READ16(x + i) - mean, d1 = READ16(x + i + 16) - mean;
    even += d0;
    odd += d1;
    even_squares = MAC(d0, d0, even_squares);
    odd_squares = MAC(d1, d1, odd_squares);
  }
  float2 sums = (float2)(SUM_16(even + odd), SUM_16(even_squares + odd_squares));
  for (; i < n; ++i) {
    const float d = READ(x + i) - mean;
    sums.x += d;
    sums.y = MAC(d, d, sums.y);
  }
  return sums;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
layernorm_cpu(const __global stored *x, const __global stored *scale, const __global stored *bias, __global stored *out,
              const uint n_rows, const uint n_cols, const float epsilon, const uint rows_per_item) {
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  const float share = 1.0f / n_cols;
  x += (size_t)first * n_cols;
  out += (size_t)first * n_cols;
  for (uint row = first; row < end; ++row, x += n_cols, out += n_cols) {
    const float mean = sum_of(x, n_cols) * share;
    const float2 sums = moments_of(x, mean, n_cols) * share;
    const float variance = sums.y - sums.x * sums.x;
    const float factor = 1.0f / sqrt((variance < 0.0f ? 0.0f : variance) + epsilon);
    uint i = 0;
    for (; i + 16 <= n_cols; i += 16) {
      const float16 d = READ16(x + i) - mean - sums.x;
      WRITE16(MAC(d * factor, READ16(scale + i), READ16(bias + i)), out + i);
    }
    for (; i < n_cols; ++i) {
      const float d = READ(x + i) - mean - sums.x;
      WRITE(MAC(d * factor, READ(scale + i), READ(bias + i)), out + i);
    }
  }
}
