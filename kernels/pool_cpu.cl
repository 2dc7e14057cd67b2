// Pooling for processors with vector registers and caches: work-groups of one.
//
// Shapes, arguments and special values as in pool.cl. Two kernels:
//   pool_cpu         windows. A work-item takes rows_per_item rows of out. A window is joined first down its columns,
//                    many neighbouring columns at once, into a row that stays in L1, then along that row: kD*kH + kW
//                    steps in place of kD*kH*kW, at any stride.
//   pool_cpu_whole   whole planes (R, S) -> (R), planes_per_item to a work-item.

#include "storage.h"

// 0: the maximum; 1: the mean.
#ifndef AVERAGE
#define AVERAGE 0
#endif
// Elements of x and out: 0 floats, stored as HALF says; 1 signed bytes; 2 unsigned bytes. Maximum only.
#ifndef BYTES
#define BYTES 0
#endif
// Joined columns that are kept at a time; unit: values. 8 KiB of floats, a quarter of L1.
#ifndef ROW
#define ROW 2048
#endif

// Values per vector; fixed: 16 floats are two AVX2 registers.
#define VEC 16

#if BYTES == 0
typedef stored element;
typedef float value;
typedef float4 four;
typedef float16 values;
typedef float4_u four_u;
typedef float16_u values_u;
#define GET(p) READ(p)
#define GET4(p) READ4(p)
#define GET16(p) READ16(p)
#define PUT(v, p) WRITE(v, p)
#define PUT16(v, p) WRITE16(v, p)
#define NONE (AVERAGE ? 0.0f : -INFINITY)
#define LOWEST (HALF ? -65504.0f : -FLT_MAX)
#else
#if BYTES == 1
typedef char element;
typedef char4 four;
typedef char16 values;
#define NONE CHAR_MIN
#else
typedef uchar element;
typedef uchar4 four;
typedef uchar16 values;
#define NONE 0
#endif
typedef element value;
typedef four four_u __attribute__((aligned(1)));
typedef values values_u __attribute__((aligned(1)));
#define GET(p) (*(p))
#define GET4(p) (*(const __global four_u *)(p))
#define GET16(p) (*(const __global values_u *)(p))
#define PUT(v, p) (*(p) = (v))
#define PUT16(v, p) (*(__global values_u *)(p) = (v))
#define LOWEST NONE
#endif

#define ROW_AT(p) (*(const values_u *)(p))
#define KEEP(v, p) (*(values_u *)(p) = (v))
#define KEEP4(v, p) (*(four_u *)(p) = (v))

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
// Every other of 32 values. As one shuffle: (values)(a.even, b.even) has lanes in between that nobody sets, on which
// Oclgrind's uninitialized check crashes.
#if __has_builtin(__builtin_shufflevector)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#else
#define EVEN(a, b) (values)((a).even, (b).even)
#endif

#if AVERAGE
#define JOIN(v, all) ((v) + (all))
#elif BYTES
#define JOIN(v, all) ((v) > (all) ? (v) : (all))
#else
// The first choice is maxps, which keeps a NaN of `all` and drops one of v; the second brings that back.
#define JOIN(v, all) ((v) != (v) ? (v) : (v) > (all) ? (v) : (all))
#endif
static inline value joined(const value v, const value all) { return JOIN(v, all); }

// How many taps cover n > 0 places. A division takes as long as a vector of windows, and dilation is mostly 1.
static inline int taps_over(const int n, const int dilation) {
  return dilation == 1 ? n : (n + dilation - 1) / dilation;
}
// Of a window from `start` on: its first tap at 0 or later, and how many taps lie before `end`.
static inline int first_tap(const int start, const int dilation) { return start < 0 ? taps_over(-start, dilation) : 0; }
static inline int taps_before(const int start, const int end, const int dilation, const int kernel_size) {
  return min(kernel_size, taps_over(end - start, dilation));
}
// Taps that count: those inside, or with a limit all up to there.
static inline int counted(const int start, const int end, const int limit, const int dilation, const int kernel_size) {
  const int to_limit = taps_before(start, limit, dilation, kernel_size);
  const int inside = taps_before(start, end, dilation, kernel_size) - first_tap(start, dilation);
  return limit > 0 ? to_limit : inside;
}

static inline value finished(const value all, const int taps) {
#if AVERAGE
  return taps > 0 ? all / (float)taps : 0.0f;
#else
  return taps > 0 ? all : LOWEST;
#endif
}

// row[i] = what `rows` rows (of `layers` layers) below x[i] join to, for 0 <= i < n.
#define COLUMN(GET_SOME, some, i)                                                                                      \
  for (int k = 0; k < layers; ++k) {                                                                                   \
    const __global element *p = x + k * layer_step + (i);                                                              \
    for (int j = 0; j < rows; ++j, p += row_step) {                                                                    \
      const some v = GET_SOME(p);                                                                                      \
      all = JOIN(v, all);                                                                                              \
    }                                                                                                                  \
  }
static inline void join_columns(const __global element *x, value *row, const int n, const int rows, const int layers,
                                const size_t row_step, const size_t layer_step) {
  if (n >= VEC) {
    for (int start = 0; start < n; start += VEC) {
      const int i = min(start, n - VEC); // the last vector overlaps the one before
      values all = (values)(NONE);
      COLUMN(GET16, values, i)
      KEEP(all, row + i);
    }
  } else if (n >= 4) {
    for (int start = 0; start < n; start += 4) {
      const int i = min(start, n - 4);
      four all = (four)(NONE);
      COLUMN(GET4, four, i)
      KEEP4(all, row + i);
    }
  } else {
    for (int i = 0; i < n; ++i) {
      value all = NONE;
      COLUMN(GET, value, i)
      row[i] = all;
    }
  }
}

static inline value along(const value *row, const int taps, const int dilation) {
  value all = NONE;
  for (int k = 0; k < taps; ++k, row += dilation) {
    all = joined(*row, all);
  }
  return all;
}

// 16 neighbouring windows of the row, `step` (1 or 2) apart.
static inline values along16(const value *row, const int taps, const int dilation, const int step) {
  values all = (values)(NONE);
  if (step == 1) {
    for (int k = 0; k < taps; ++k, row += dilation) {
      const values v = ROW_AT(row);
      all = JOIN(v, all);
    }
  } else {
    for (int k = 0; k < taps; ++k, row += dilation) {
      const values low = ROW_AT(row), high = ROW_AT(row + VEC);
      const values v = EVEN(low, high);
      all = JOIN(v, all);
    }
  }
  return all;
}

// out[0 .. n) of windows that lie wholly inside the row, `taps` taps long and of `area` taps in all.
static inline void join_row(const value *row, __global element *out, const int n, const int taps, const int dilation,
                            const int step, const int area) {
  if (step > 2) {
    for (int o = 0; o < n; ++o) {
      PUT(finished(along(row + o * step, taps, dilation), area), out + o);
    }
    return;
  }
#if AVERAGE
#define SCALED(v) ((v) * (1.0f / (float)area))
#else
#define SCALED(v) (v)
#endif
  if (n >= VEC) {
    for (int start = 0; start < n; start += VEC) {
      const int o = min(start, n - VEC);
      const values v = along16(row + o * step, taps, dilation, step);
      PUT16(SCALED(v), out + o);
    }
  } else if (n > 0) {
    value tile[VEC];
    const values v = along16(row, taps, dilation, step);
    KEEP(SCALED(v), tile);
    for (int o = 0; o < n; ++o) {
      PUT(tile[o], out + o);
    }
  }
}

// block: windows of a row that are joined at a time, so that their columns fit into ROW. n_rows: rows of out.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool_cpu(const __global element *x, __global element *out, const int4 in, const int4 to, const int4 kernel_size,
         const int4 stride, const int4 dilation, const int4 pad, const int4 limit, const int block, const uint n_rows,
         const uint rows_per_item) {
  value row[ROW + 2 * VEC]; // a vector of the last windows may read so much further
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  const size_t row_step = (size_t)dilation.y * in.x;
  const size_t layer_step = (size_t)dilation.z * in.y * in.x;
  const int reach = (kernel_size.x - 1) * dilation.x + 1;
  // Windows [inner, inner_end) of a row have all their taps inside.
  const int inner = (pad.x + stride.x - 1) / stride.x;
  const int inner_end = in.x + pad.x >= reach ? min((in.x + pad.x - reach) / stride.x + 1, to.x) : 0;
  for (uint r = first; r < end; ++r) {
    // Without %: beside / clang makes of it a "freeze", which Oclgrind's uninitialized check does not know.
    const uint layer = r / (uint)to.y, plane = layer / (uint)to.z;
    const int y = (int)(r - layer * to.y) * stride.y - pad.y;
    const int z = (int)(layer - plane * to.z) * stride.z - pad.z;
    const int j = first_tap(y, dilation.y), k = first_tap(z, dilation.z);
    const int rows = max(taps_before(y, in.y, dilation.y, kernel_size.y) - j, 0);
    const int layers = max(taps_before(z, in.z, dilation.z, kernel_size.z) - k, 0);
    const int area = counted(y, in.y, limit.y, dilation.y, kernel_size.y) *
                     counted(z, in.z, limit.z, dilation.z, kernel_size.z);
    const size_t line = ((size_t)plane * in.z + (z + k * dilation.z)) * in.y + (y + j * dilation.y);
    for (int o = 0; o < to.x; o += block) {
      const int n = min(block, to.x - o);
      const int from = o * stride.x - pad.x;
      const int width = (n - 1) * stride.x + reach;
      const int left = min(max(-from, 0), width), right = max(min(in.x - from, width), left);
      for (int i = 0; i < left; ++i) {
        row[i] = NONE;
      }
      for (int i = right; i < width; ++i) {
        row[i] = NONE;
      }
      KEEP((values)(NONE), row + width);
      KEEP((values)(NONE), row + width + VEC);
      if (right > left) {
        join_columns(x + (line * in.x + (from + left)), row + left, right - left, rows, layers, row_step, layer_step);
      }
      __global element *to_row = out + ((size_t)r * to.x + o);
      const int begin = min(max(inner - o, 0), n), stop = rows * layers > 0 ? max(min(inner_end - o, n), begin) : begin;
      join_row(row + begin * stride.x, to_row + begin, stop - begin, kernel_size.x, dilation.x, stride.x,
               area * kernel_size.x);
      // Windows that reach over an edge, where fewer taps count.
      for (int i = begin > 0 ? 0 : stop; i < n; i = i + 1 == begin ? stop : i + 1) {
        const int taps = counted(from + i * stride.x, in.x, limit.x, dilation.x, kernel_size.x);
        PUT(finished(along(row + i * stride.x, kernel_size.x, dilation.x), area * taps), to_row + i);
      }
    }
  }
}

#define LANES(DO)                                                                                                      \
  DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f)
#define JOIN_LANE(k) all = joined(a.s##k, all);

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pool_cpu_whole(const __global element *x,
                                                                            __global element *out, const uint n_planes,
                                                                            const uint size,
                                                                            const uint planes_per_item) {
  const uint first = get_group_id(0) * planes_per_item;
  const uint end = min(first + planes_per_item, n_planes);
  x += (size_t)first * size;
  for (uint plane = first; plane < end; ++plane, x += size) {
    values a = (values)(NONE), b = a, c = a, d = a; // eight chains of AVX2
    uint i = 0;
    for (; i + 4 * VEC <= size; i += 4 * VEC) {
      const values p = GET16(x + i), q = GET16(x + i + VEC), r = GET16(x + i + 2 * VEC), s = GET16(x + i + 3 * VEC);
      a = JOIN(p, a);
      b = JOIN(q, b);
      c = JOIN(r, c);
      d = JOIN(s, d);
    }
    for (; i + VEC <= size; i += VEC) {
      const values p = GET16(x + i);
      a = JOIN(p, a);
    }
    a = JOIN(b, a);
    c = JOIN(d, c);
    a = JOIN(c, a);
    value all = NONE;
    LANES(JOIN_LANE)
    for (; i < size; ++i) {
      const value v = GET(x + i);
      all = JOIN(v, all);
    }
    PUT(finished(all, size), out + plane);
  }
}
