// softmax for processors with vector registers and caches: one work-item is one core's worth of loop.
//
// Shapes and special values as in softmax.cl; out may be x. Work-groups of one. Two ways:
//   softmax_cpu   a work-item takes rows_per_item whole rows. From memory: 1 read + 1 write while a row fits into L2;
//                 the exponentials wait in out for the row's sum.
//   softmax_cpu_partial, softmax_cpu_write   few long rows: a row is shared by n_segments work-items. 2 reads + 2
//                 writes, mostly within a cache; one exponential per element.

#include "exp.h"

// Elements per vector; unit: floats, 8 or 16. 16 are two AVX2 registers: two chains hide the latency of max and add.
#ifndef VEC
#define VEC 16
#endif
// Vectors that are added up before they join the total, so that errors grow with C / (SUM_BLOCK * VEC).
#ifndef SUM_BLOCK
#define SUM_BLOCK 64
#endif

#include "stream.h"

#define DEFINE_EXP_(name, floats, ints) DEFINE_EXP(name, floats, ints)
DEFINE_EXP_(exp_vec, STREAM_JOIN(float, VEC), STREAM_JOIN(int, VEC))
DEFINE_EXP(exp_of, float, int)

// As maxps: the second operand when either is NaN. A NaN in x is dropped here; the row's sum meets it again.
#define MAX(a, b) ((a) > (b) ? (a) : (b))
static inline float larger(const float a, const float b) { return MAX(a, b); }
static inline float added(const float a, const float b) { return a + b; }

// One value from all lanes, in chains of four that begin with a constant. Where two lanes meet directly, as in a tree
// or in halves, clang makes shuffles with undefined lanes, and Oclgrind's uninitialized check crashes on those.
#define JOIN_4(JOIN, none, a, b, c, d) JOIN(JOIN(JOIN(JOIN(none, a), b), c), d)
#define JOIN_8(JOIN, none, v)                                                                                          \
  JOIN(JOIN_4(JOIN, none, (v).s0, (v).s1, (v).s2, (v).s3), JOIN_4(JOIN, none, (v).s4, (v).s5, (v).s6, (v).s7))
#define JOIN_16(JOIN, none, v)                                                                                         \
  JOIN(JOIN_8(JOIN, none, v), JOIN(JOIN_4(JOIN, none, (v).s8, (v).s9, (v).sa, (v).sb),                                 \
                                   JOIN_4(JOIN, none, (v).sc, (v).sd, (v).se, (v).sf)))
#define JOIN_LANES(JOIN, none, v) STREAM_JOIN(JOIN_, VEC)(JOIN, none, v)

#define LANES_8(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define LANES_16(DO) LANES_8(DO) DO(8) DO(9) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f)
#define EACH_LANE(DO) STREAM_JOIN(LANES_, VEC)(DO)

// The last n < VEC elements at p, and -infinity in the other lanes, where exp() then gives 0.
static inline vec load_edge(const __global float *p, const uint n) {
  vec v = (vec)(-INFINITY);
#define LOAD_LANE(k)                                                                                                   \
  if (0x##k < n)                                                                                                       \
    v.s##k = p[0x##k];
  EACH_LANE(LOAD_LANE)
  return v;
}

static inline void store_edge(const vec v, __global float *p, const uint n) {
#define STORE_LANE(k)                                                                                                  \
  if (0x##k < n)                                                                                                       \
    p[0x##k] = v.s##k;
  EACH_LANE(STORE_LANE)
}

static inline float max_of(const __global float *x, const uint n) {
  vec top = (vec)(-INFINITY), other = top;
  uint i = 0;
  for (; i + 2 * VEC <= n; i += 2 * VEC) {
    top = MAX(LOAD(x + i), top);
    other = MAX(LOAD(x + i + VEC), other);
  }
  top = MAX(top, other);
  float most = JOIN_LANES(larger, -INFINITY, top);
  for (; i < n; ++i) {
    most = MAX(x[i], most);
  }
  return most;
}

// out = exp(x - shift) over n elements; returns their sum.
static inline float exp_and_sum(const __global float *x, __global float *out, const float shift, const uint n) {
  vec total = (vec)(0.0f);
  uint i = 0;
  while (i + VEC <= n) {
    vec part = (vec)(0.0f);
    for (const uint stop = min(i + SUM_BLOCK * VEC, n); i + VEC <= stop; i += VEC) {
      const vec e = exp_vec(LOAD(x + i) - shift);
      STORE(e, out + i);
      part += e;
    }
    total += part;
  }
  if (i < n) {
    const vec e = exp_vec(load_edge(x + i, n - i) - shift);
    store_edge(e, out + i, n - i);
    total += e;
  }
  return JOIN_LANES(added, 0.0f, total);
}

static inline void multiply(__global float *out, const uint n, const float scale) {
  uint i = 0;
  for (; i + VEC <= n; i += VEC) {
    STORE(LOAD(out + i) * scale, out + i);
  }
  for (; i < n; ++i) {
    out[i] *= scale;
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void softmax_cpu(const __global float *x, __global float *out,
                                                                         const uint n_rows, const uint n_cols,
                                                                         const uint rows_per_item) {
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  x += (size_t)first * n_cols;
  out += (size_t)first * n_cols;
  for (uint row = first; row < end; ++row, x += n_cols, out += n_cols) {
    if (n_cols <= VEC) { // the row stays in registers
      const vec v = load_edge(x, n_cols);
      const vec e = exp_vec(v - JOIN_LANES(larger, -INFINITY, v));
      store_edge(e * (1.0f / JOIN_LANES(added, 0.0f, e)), out, n_cols);
    } else {
      const float sum = exp_and_sum(x, out, max_of(x, n_cols), n_cols);
      multiply(out, n_cols, 1.0f / sum);
    }
  }
}

// maxima, sums (R, n_segments): of each segment of `width` columns, the maximum and the sum of exp(x - that maximum);
// out: those exponentials. A segment of -infinity alone has zeros there, so that it adds nothing to the rest of its row.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
softmax_cpu_partial(const __global float *x, __global float *out, __global float *maxima, __global float *sums,
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
softmax_cpu_write(__global float *out, const __global float *maxima, const __global float *sums, const uint n_cols,
                  const uint width) {
  const uint n_segments = get_num_groups(0);
  maxima += get_group_id(1) * n_segments;
  sums += get_group_id(1) * n_segments;
  const float top = max_of(maxima, n_segments);
  float sum = 0.0f;
  for (uint k = 0; k < n_segments; ++k) {
    sum += sums[k] * exp_of(maxima[k] - top);
  }
  const uint first = get_group_id(0) * width;
  out += get_group_id(1) * (size_t)n_cols + first;
  multiply(out, min(width, n_cols - first), exp_of(maxima[get_group_id(0)] - top) / sum);
}
