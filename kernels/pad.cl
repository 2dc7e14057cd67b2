// out = x with margins along its axes, bit for bit: a constant, the nearest or mirrored elements, or x wrapped round.
//
// Shapes: x, out of the same rank up to 8; elements of 1, 2, 4 or 8 bytes. A negative margin crops, which the launcher
// turns into a start and shorter axes. Traffic: 1 read of what x keeps + 1 write of out. Two templates, one result:
//   pad_plain   an element per work-item
//   pad_cpu     work-groups of one that take rows: the margins by elements, what lies between as a row
// The launcher joins axes without margins, as for walk.h, and widens elements where margins allow it.

#include "rows.h"

// What the margins hold: 0 the constant, 1 the nearest element, 2 the mirrored one, its edge once, 3 wrapped round.
#ifndef MODE
#define MODE 0
#endif

// n, x_n: lengths of the rows' axes in out and in x, the innermost first, 1 where there is none; before: their margins
// in front; step: their strides in x, and column_step the columns'; value: 16 bytes of the constant, repeated.
#define PAD_ARGUMENTS                                                                                                  \
  const uint n_rows, const uint n_columns, const int x_columns, const int margin, const int start,                     \
      const int column_step, const uint8 n, const int8 x_n, const int8 before, const int8 step, const uint4 value

#if ITEM_BYTES == 1
#define VALUE ((element)value.x)
#elif ITEM_BYTES == 2
#define VALUE ((element)value.x)
#elif ITEM_BYTES == 4
#define VALUE value.x
#elif ITEM_BYTES == 8
#define VALUE (((element)value.y << 32) | value.x)
#else
#define VALUE value
#endif

// The place in an axis of length n that place i, counted from its first element, takes its value from; -1: nowhere.
static inline int place_of(const int i, const int n) {
  if (i >= 0 && i < n) {
    return i;
  }
#if MODE == 0
  return -1;
#elif MODE == 1
  return i < 0 ? 0 : n - 1;
#elif MODE == 2
  const int stride = max(n - 1, 1); // to and fro: every other stretch of n - 1 runs backwards
  const int rest = i % stride;
  const int there = rest < 0 ? rest + stride : rest;
  return ((i - there) / stride) & 1 ? n - 1 - there : there;
#else
  const int there = i % n;
  return there < 0 ? there + n : there;
#endif
}

// Where a row of out begins in x, less x's start; -1 for a row of nothing but the constant.
#define PAD_AXIS(k)                                                                                                    \
  {                                                                                                                    \
    const uint rest = row / n.s##k;                                                                                    \
    const int there = place_of((int)(row - rest * n.s##k) - before.s##k, x_n.s##k);                                    \
    inside = inside && there >= 0;                                                                                     \
    at += there * step.s##k;                                                                                           \
    row = rest;                                                                                                        \
  }
static inline __attribute__((always_inline)) int row_start(uint row, const uint8 n, const int8 x_n, const int8 before,
                                                           const int8 step) {
  int at = 0, inside = 1;
  PAD_AXIS(0)
  PAD_AXIS(1)
  PAD_AXIS(2)
  if (n.s3 * n.s4 * n.s5 * n.s6 * n.s7 != 1) { // seldom: axes without margins are joined
    PAD_AXIS(3)
    PAD_AXIS(4)
    PAD_AXIS(5)
    PAD_AXIS(6)
    PAD_AXIS(7)
  }
  return inside ? at : -1;
}

__kernel void pad_plain(const __global element *x, __global element *out, PAD_ARGUMENTS) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int at = row_start(row, n, x_n, before, step);
  const int column = place_of((int)(i - row * n_columns) - margin, x_columns);
  out[i] = at < 0 || column < 0 ? VALUE : x[start + at + column * column_step];
}

// A margin's n elements from column `first` of out on.
static inline void fill_margin(const __global element *from, __global element *to, const uint first, const uint n,
                               const int x_columns, const int margin, const int column_step, const element value) {
#if MODE == 0
  fill_row(to, n, value);
#else
  for (uint i = 0; i < n; ++i) {
    to[i] = from[place_of((int)(first + i) - margin, x_columns) * column_step];
  }
#endif
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pad_cpu(const __global element *x, __global element *out,
                                                                     PAD_ARGUMENTS, const uint rows_per_item,
                                                                     const uint width, const int stream) {
  const uint first = get_group_id(0) * width;
  const uint end = min(first + width, n_columns);
  // Of these columns, those in front of x's, x's own and those behind.
  const uint left = min(max(first, (uint)margin), end), right = max(min(end, (uint)(margin + x_columns)), left);
  const uint last_row = min((uint)get_group_id(1) * rows_per_item + rows_per_item, n_rows);
  for (uint row = get_group_id(1) * rows_per_item; row < last_row; ++row) {
    const int at = row_start(row, n, x_n, before, step);
    __global element *to = out + (size_t)row * n_columns;
    if (at < 0) {
      fill_row(to + first, end - first, VALUE);
      continue;
    }
    const __global element *from = x + start + at;
    const __global element *own = from + (int)(left - margin) * column_step;
    fill_margin(from, to + first, first, left - first, x_columns, margin, column_step, VALUE);
    if (column_step == 1) {
      copy_row(own, to + left, right - left, stream);
    } else {
      copy_strided(own, to + left, right - left, (int2)(column_step, 1));
    }
    fill_margin(from, to + right, right, end - right, x_columns, margin, column_step, VALUE);
  }
}
