// reduce for processors with vector registers and caches: work-groups of one, a work-item is one core's worth of loop.
//
// x (O,R,I), out (O,S,I), where S segments of `width` share R: their results are joined by a second launch. Types and
// functions as in reduce.cl.
//   reduce_cpu_rows      I = 1: a work-item takes whole rows, in vectors along R
//   reduce_arg_cpu       I = 1: it takes whole rows, finds the largest or smallest value, and then its place
//   reduce_cpu_columns   I > 1: it takes TILE columns of a segment, in vectors along I, eight rows at a time

#include "reduction.h"

// Columns per work-item of reduce_cpu_columns; unit: columns, a multiple of 16. Their totals stay in L1.
#ifndef TILE
#define TILE 2048
#endif
// Vectors that are joined before they join the total; unit: vectors. So errors grow with R / (16 * JOIN_BLOCK).
#ifndef JOIN_BLOCK
#define JOIN_BLOCK 64
#endif

#define VEC 16

static VALUE row_of(const __global in_type *x, const uint n, const VALUE shift) {
  const values shifts = (values)(shift);
  values total = (values)(NOTHING), other = total;
  uint i = 0;
  while (i + 2 * VEC <= n) {
    values part = (values)(NOTHING), second = part;
    for (const uint stop = min(i + JOIN_BLOCK * VEC, n); i + 2 * VEC <= stop; i += 2 * VEC) {
      part = joined16(part, mapped16(GET16(x + i), shifts));
      second = joined16(second, mapped16(GET16(x + i + VEC), shifts));
    }
    total = joined16(total, part);
    other = joined16(other, second);
  }
  VALUE lanes[VEC] __attribute__((aligned(sizeof(values))));
  *(values *)lanes = joined16(total, other);
  VALUE all = NOTHING;
  for (uint k = 0; k < VEC; ++k) {
    all = joined(all, lanes[k]);
  }
  for (; i < n; ++i) {
    all = joined(all, mapped(GET(x + i), shift));
  }
  return all;
}

// NDRange: (S, ceil(O / rows_per_item)).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
reduce_cpu_rows(const __global in_type *x, const __global VALUE *m, __global out_type *out, const uint R,
                const uint width, const int finish, const float divisor, const uint n_rows, const uint rows_per_item) {
  const uint first = get_group_id(0) * width;
  const uint n = min(width, R - first);
  uint row = get_group_id(1) * rows_per_item;
  for (const uint end = min(row + rows_per_item, n_rows); row < end; ++row) {
    const VALUE v = row_of(x + (size_t)row * R + first, n, shift_of(m + row));
    PUT(finished(v, finish, divisor, m + row), out + (size_t)row * get_num_groups(0) + get_group_id(0));
  }
}

// NDRange: ceil(O / rows_per_item). last: as reduce_arg_plain. COMBINE is MAX or MIN, so a NaN is the row's value.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void reduce_arg_cpu(const __global in_type *x,
                                                                            __global long *out, const uint R,
                                                                            const int last, const uint n_rows,
                                                                            const uint rows_per_item) {
  uint row = get_group_id(0) * rows_per_item;
  for (const uint end = min(row + rows_per_item, n_rows); row < end; ++row) {
    const __global in_type *values_of = x + (size_t)row * R;
    const VALUE best = row_of(values_of, R, 0);
    const int odd = best != best;
    const uint step = last ? (uint)-1 : 1;
    uint place = last ? R - 1 : 0;
    for (uint k = 1; k < R; ++k, place += step) {
      const VALUE v = GET(values_of + place);
      if ((v == best) | (odd & (v != v))) {
        break;
      }
    }
    out[row] = place;
  }
}

// The values of vector column i in one row.
#define AT(k) mapped16(GET16(x + (k) * (size_t)I + i), shift)
#define AT_ONE(k) mapped(GET(x + (k) * (size_t)I + i), one)

// NDRange: (ceil(I / TILE), S, O).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
reduce_cpu_columns(const __global in_type *x, const __global VALUE *m, __global out_type *out, const uint R,
                   const uint I, const uint width, const int finish, const float divisor) {
  VALUE totals[TILE] __attribute__((aligned(sizeof(values))));
  const uint column = get_group_id(0) * TILE;
  const uint n = min((uint)TILE, I - column);
  const uint whole = n / VEC * VEC;
  const uint first = get_group_id(1) * width;
  uint rows = min(width, R - first);
  x += ((size_t)get_group_id(2) * R + first) * I + column;
  m += (size_t)get_group_id(2) * I + column;
  out += ((size_t)get_group_id(2) * get_num_groups(1) + get_group_id(1)) * I + column;
  for (uint i = 0; i < n; ++i) {
    totals[i] = NOTHING;
  }
  for (uint step; rows > 0; rows -= step, x += step * (size_t)I) {
    step = rows >= 8 ? 8 : 1;
    for (uint i = 0; i < whole; i += VEC) {
#if MAP == 3
      const values shift = *(const __global values_loose *)(m + i);
#else
      const values shift = (values)(0);
#endif
      values v = AT(0);
      if (step == 8) {
        v = joined16(joined16(joined16(v, AT(1)), joined16(AT(2), AT(3))),
                     joined16(joined16(AT(4), AT(5)), joined16(AT(6), AT(7))));
      }
      *(values *)(totals + i) = joined16(*(values *)(totals + i), v);
    }
    for (uint i = whole; i < n; ++i) {
      const VALUE one = shift_of(m + i);
      VALUE v = AT_ONE(0);
      if (step == 8) { // in the order of the vectors: equal columns have equal results
        v = joined(joined(joined(v, AT_ONE(1)), joined(AT_ONE(2), AT_ONE(3))),
                   joined(joined(AT_ONE(4), AT_ONE(5)), joined(AT_ONE(6), AT_ONE(7))));
      }
      totals[i] = joined(totals[i], v);
    }
  }
  for (uint i = 0; i < n; ++i) {
    PUT(finished(totals[i], finish, divisor, m + i), out + i);
  }
}
