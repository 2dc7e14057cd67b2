// softmax for processors with vector registers and caches: one work-item is one core's worth of loop.
//
// Shapes and special values as in softmax.cl; out may be x. Work-groups of one. Two ways:
//   softmax_cpu   a work-item takes rows_per_item whole rows. From memory: 1 read + 1 write while a row fits into L2;
//                 the exponentials wait in out for the row's sum. fp16 would round them there: it computes them again.
//   softmax_cpu_partial, softmax_cpu_write   few long rows: a row is shared by n_segments work-items. 2 reads + 2
//                 writes, mostly within a cache; one exponential per element (fp16: two).

#include "exp.h"

// Elements per vector; unit: floats, 8 or 16. 16 are two AVX2 registers: two chains hide the latency of max and add.
#ifndef VEC
#define VEC 16
#endif
// Vectors that are added up before they join the total, so that errors grow with C / (SUM_BLOCK * VEC).
#ifndef SUM_BLOCK
#define SUM_BLOCK 64
#endif

#include "lanes.h"
#include "storage.h"
#include "stream.h"

#define READ_VEC(p) STREAM_JOIN(READ, VEC)(p)
#define WRITE_VEC(v, p) STREAM_JOIN(WRITE, VEC)(v, p)

#define DEFINE_EXP_(name, floats, ints) DEFINE_EXP(name, floats, ints)
DEFINE_EXP_(exp_vec, STREAM_JOIN(float, VEC), STREAM_JOIN(int, VEC))
DEFINE_EXP(exp_of, float, int)

// As maxps: the second operand when either is NaN. A NaN in x is dropped here; the row's sum meets it again.
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define JOIN_LANES(JOIN, none, v) STREAM_JOIN(JOIN_, VEC)(JOIN, none, v)

#define EACH_LANE(DO) STREAM_JOIN(LANES_, VEC)(DO)

// The last n < VEC elements at p, and -infinity in the other lanes, where exp() then gives 0.
static inline vec load_edge(const __global stored *p, const uint n) {
  vec v = (vec)(-INFINITY);
#define LOAD_LANE(k)                                                                                                   \
  if (0x##k < n)                                                                                                       \
    v.s##k = READ(p + 0x##k);
  EACH_LANE(LOAD_LANE)
  return v;
}

static inline void store_edge(const vec v, __global stored *p, const uint n) {
#define STORE_LANE(k)                                                                                                  \
  if (0x##k < n)                                                                                                       \
    WRITE(v.s##k, p + 0x##k);
  EACH_LANE(STORE_LANE)
}

static inline float max_of(const __global stored *x, const uint n) {
  vec top = (vec)(-INFINITY), other = top;
  uint i = 0;
  for (; i + 2 * VEC <= n; i += 2 * VEC) {
    top = MAX(READ_VEC(x + i), top);
    other = MAX(READ_VEC(x + i + VEC), other);
  }
  top = MAX(top, other);
  float most = JOIN_LANES(lanes_larger, -INFINITY, top);
  for (; i < n; ++i) {
    const float v = READ(x + i);
    most = MAX(v, most);
  }
  return most;
}

// out = exp(x - shift) over n elements, unless it would be rounded; returns their sum.
static inline float exp_and_sum(const __global stored *x, __global stored *out, const float shift, const uint n) {
  vec total = (vec)(0.0f);
  uint i = 0;
  while (i + VEC <= n) {
    vec part = (vec)(0.0f);
    for (const uint stop = min(i + SUM_BLOCK * VEC, n); i + VEC <= stop; i += VEC) {
      const vec e = exp_vec(READ_VEC(x + i) - shift);
#if !HALF
      STORE(e, out + i);
#endif
      part += e;
    }
    total += part;
  }
  if (i < n) {
    const vec e = exp_vec(load_edge(x + i, n - i) - shift);
#if !HALF
    store_edge(e, out + i, n - i);
#endif
    total += e;
  }
  return JOIN_LANES(lanes_added, 0.0f, total);
}

// What exp_and_sum left in out, or would have, times scale.
static inline void multiply(const __global stored *x, __global stored *out, const float shift, const uint n,
                            const float scale) {
  uint i = 0;
#if HALF
  for (; i + VEC <= n; i += VEC) {
    WRITE_VEC(exp_vec(READ_VEC(x + i) - shift) * scale, out + i);
  }
  if (i < n) {
    store_edge(exp_vec(load_edge(x + i, n - i) - shift) * scale, out + i, n - i);
  }
#else
  for (; i + VEC <= n; i += VEC) {
    STORE(LOAD(out + i) * scale, out + i);
  }
  for (; i < n; ++i) {
    out[i] *= scale;
  }
#endif
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
softmax_cpu(const __global stored *x, __global stored *out, const uint n_rows, const uint n_cols,
            const uint rows_per_item) {
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  x += (size_t)first * n_cols;
  out += (size_t)first * n_cols;
  for (uint row = first; row < end; ++row, x += n_cols, out += n_cols) {
    if (n_cols <= VEC) { // the row stays in registers
      const vec v = load_edge(x, n_cols);
      const vec e = exp_vec(v - JOIN_LANES(lanes_larger, -INFINITY, v));
      store_edge(e * (1.0f / JOIN_LANES(lanes_added, 0.0f, e)), out, n_cols);
    } else {
      const float top = max_of(x, n_cols);
      const float sum = exp_and_sum(x, out, top, n_cols);
      multiply(x, out, top, n_cols, 1.0f / sum);
    }
  }
}

// maxima, sums (R, n_segments): of each segment of `width` columns, the maximum and the sum of exp(x - that maximum);
// out: those exponentials. A segment of -infinity alone has zeros there, so that it adds nothing to the rest of its row.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
softmax_cpu_partial(const __global stored *x, __global stored *out, __global float *maxima, __global float *sums,
                    const uint n_cols, const uint width) {
  const uint first = get_group_id(0) * width;
  const uint n = min(width, n_cols - first);
  const size_t offset = get_group_id(1) * (size_t)n_cols + first;
  x += offset;
  out += offset;
  const float top = max_of(x, n);
  const float shift = top == -INFINITY ? 0.0f : top;
  const float sum = exp_and_sum(x, out, shift, n);
  const size_t segment = get_group_id(1) * get_num_groups(0) + get_group_id(0);
  maxima[segment] = top;
  sums[segment] = sum;
}

// Joins the row's segments, then scales this work-item's own.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
softmax_cpu_write(const __global stored *x, __global stored *out, const __global float *maxima,
                  const __global float *sums, const uint n_cols, const uint width) {
  const uint n_segments = get_num_groups(0), own = get_group_id(0);
  maxima += get_group_id(1) * n_segments;
  sums += get_group_id(1) * n_segments;
  float top = -INFINITY;
  for (uint k = 0; k < n_segments; ++k) {
    top = MAX(maxima[k], top);
  }
  float sum = 0.0f;
  for (uint k = 0; k < n_segments; ++k) {
    sum += sums[k] * exp_of(maxima[k] - top);
  }
  const uint first = own * width;
  const size_t offset = get_group_id(1) * (size_t)n_cols + first;
  // Where out holds exponentials, those are shifted by the segment's own maximum.
  const float factor = HALF ? 1.0f : exp_of(maxima[own] - top);
  multiply(x + offset, out + offset, top, min(width, n_cols - first), factor / sum);
}
