// softmax over an axis that is not the last, for processors: lanes are
// neighbouring rows, so no lane joins another.
//
// Shapes as in softmax_strided.cl, types and special values as in softmax.cl;
// out may be x. Work-groups of one; NDRange: (ceil(I / columns_per_item), R). A
// work-item takes WIDTH rows at a time: 3 reads + 1 write of them, the later
// ones from L2 while WIDTH * C values fit there.

#include "exp.h"
#include "lanes.h"
#include "storage.h"

// Rows that are worked on together; unit: values side by side in memory, one
// line of cache in fp32. Fixed: a vector.
#define WIDTH 16
// Vectors that are added up before they join the total; unit: vectors. So
// errors grow with C / 64.
#ifndef SUM_BLOCK
#define SUM_BLOCK 64
#endif

#define INLINE static inline __attribute__((always_inline))
// As maxps: the second operand when either is NaN. A NaN in x is dropped here;
// the sum meets it again.
#define MAX(a, b) ((a) > (b) ? (a) : (b))

DEFINE_EXP(exp_16, float16, int16)

// The first n values at p, zeros in the other lanes; and only the first n lanes
// to p.
INLINE float16 read_some(const __global stored *p, const uint n) {
  if (n == WIDTH) {
    return READ16(p);
  }
  float16 v = (float16)(0.0f);
#define READ_LANE(k)                                                                                                   \
  if (0x##k < n)                                                                                                       \
    v.s##k = READ(p + 0x##k);
  LANES_16(READ_LANE)
  return v;
}

INLINE void write_some(const float16 v, __global stored *p, const uint n) {
  if (n == WIDTH) {
    WRITE16(v, p);
    return;
  }
#define WRITE_LANE(k)                                                                                                  \
  if (0x##k < n)                                                                                                       \
    WRITE(v.s##k, p + 0x##k);
  LANES_16(WRITE_LANE)
}

INLINE void softmax_of(const __global stored *x, __global stored *out, const uint n, const uint n_cols,
                       const size_t inner) {
  float16 even = (float16)(-INFINITY), odd = even;
  const __global stored *from = x;
  uint i = 0;
  for (; i + 2 <= n_cols; i += 2, from += 2 * inner) {
    const float16 v0 = read_some(from, n), v1 = read_some(from + inner, n);
    even = MAX(v0, even);
    odd = MAX(v1, odd);
  }
  if (i < n_cols) {
    const float16 v0 = read_some(from, n);
    even = MAX(v0, even);
  }
  const float16 top = MAX(even, odd);
  float16 sum = (float16)(0.0f);
  from = x;
  for (uint start = 0; start < n_cols; start += SUM_BLOCK) {
    float16 part = (float16)(0.0f);
    for (i = start; i < min(start + SUM_BLOCK, n_cols); ++i, from += inner) {
      part += exp_16(read_some(from, n) - top);
    }
    sum += part;
  }
  const float16 scale = 1.0f / sum;
  from = x;
  for (i = 0; i < n_cols; ++i, from += inner, out += inner) {
    write_some(exp_16(read_some(from, n) - top) * scale, out, n);
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void softmax_cpu_strided(const __global stored *x,
                                                                                 __global stored *out,
                                                                                 const uint n_cols, const uint inner,
                                                                                 const uint columns_per_item) {
  const size_t first = get_group_id(1) * (size_t)n_cols * inner;
  const uint begin = get_group_id(0) * columns_per_item;
  const uint end = min(begin + columns_per_item, inner);
  uint i = begin;
  for (; i + WIDTH <= end; i += WIDTH) {
    softmax_of(x + first + i, out + first + i, WIDTH, n_cols, inner);
  }
  if (i < end) {
    softmax_of(x + first + i, out + first + i, end - i, n_cols, inner);
  }
}
