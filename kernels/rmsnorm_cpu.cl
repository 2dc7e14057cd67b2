// rmsnorm for processors with vector registers and caches: a work-item takes rows_per_item whole rows.
//
// Shapes and RESIDUAL as in rmsnorm.cl; out may be x. Work-groups of one; NDRange: ceil(R / rows_per_item). From memory:
// 1 read + 1 write of R*C values while a row fits into L2; with RESIDUAL 2 + 2. Two float16 make four chains.

#include "lanes.h"
#include "mac.h"
#include "storage.h"

// 1: add `residual` first and give the sum too; 0: residual and total are not touched.
#ifndef RESIDUAL
#define RESIDUAL 0
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE float squares_of(const __global stored *x, const uint n) {
  float16 even = (float16)(0.0f), odd = even;
  uint i = 0;
  for (; i + 32 <= n; i += 32) {
    const float16 v0 = READ16(x + i), v1 = READ16(x + i + 16);
    even = MAC(v0, v0, even);
    odd = MAC(v1, v1, odd);
  }
  float squares = SUM_16(even + odd);
  for (; i < n; ++i) {
    const float v = READ(x + i);
    squares = MAC(v, v, squares);
  }
  return squares;
}

INLINE void add(const __global stored *a, const __global stored *b, __global stored *out, const uint n) {
  uint i = 0;
  for (; i + 16 <= n; i += 16) {
    WRITE16(READ16(a + i) + READ16(b + i), out + i);
  }
  for (; i < n; ++i) {
    WRITE(READ(a + i) + READ(b + i), out + i);
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
rmsnorm_cpu(const __global stored *x, const __global stored *scale, const __global stored *residual,
            __global stored *out, __global stored *total, const uint n_rows, const uint n_cols, const float epsilon,
            const uint rows_per_item) {
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  size_t offset = (size_t)first * n_cols;
  for (uint row = first; row < end; ++row, offset += n_cols) {
    const __global stored *from = x + offset;
#if RESIDUAL
    add(from, residual + offset, total + offset, n_cols);
    from = total + offset;
#endif
    const float factor = 1.0f / sqrt(squares_of(from, n_cols) / n_cols + epsilon);
    __global stored *to = out + offset;
    uint i = 0;
    for (; i + 16 <= n_cols; i += 16) {
      WRITE16(READ16(from + i) * factor * READ16(scale + i), to + i);
    }
    for (; i < n_cols; ++i) {
      WRITE(READ(from + i) * factor * READ(scale + i), to + i);
    }
  }
}
