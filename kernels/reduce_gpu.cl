// reduce for wavefronts. x (O,R,I), out (O,S,I), where S segments of `width` share R: their results are joined by a second
// launch. Types and functions as in reduce.cl.
//
//   reduce_gpu_rows      I = 1: a work-group per row and segment; neighbouring work-items read neighbouring values
//   reduce_gpu_columns   I > 1: a work-item per column and segment; neighbouring work-items read neighbouring columns
//   reduce_arg_gpu       I = 1: a work-group per row finds the place of its largest or smallest value

#include "reduce.h"
#include "reduction.h"

// Work-items per group; unit: work-items, a multiple of 64. Four wavefronts, one for each SIMD of a CU.
#ifndef WG_X
#define WG_X 256
#endif

// Values of a column that are joined before they join the total; unit: values. So errors grow with R / 64.
#define JOIN_BLOCK 64

DEFINE_REDUCE_OF(VALUE, joined_by_all, joined)

// NDRange: (S * WG_X, O).
__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
reduce_gpu_rows(const __global in_type *x, const __global VALUE *m, __global out_type *out, const uint R,
                const uint width, const int finish, const float divisor) {
  __local VALUE lanes[WG_X];
  const uint lane = get_local_id(0);
  const uint row = get_group_id(1);
  const uint first = get_group_id(0) * width;
  const uint end = min(first + width, R);
  x += (size_t)row * R;
  const VALUE shift = shift_of(m + row);
  VALUE total = NOTHING;
  for (uint i = first + lane; i < end; i += WG_X) {
    total = joined(total, mapped(GET(x + i), shift));
  }
  total = joined_by_all(total, lanes, lane, WG_X);
  if (lane == 0) {
    PUT(finished(total, finish, divisor, m + row), out + (size_t)row * get_num_groups(0) + get_group_id(0));
  }
}

// NDRange: (ceil(I / WG_X) * WG_X, S, O).
__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
reduce_gpu_columns(const __global in_type *x, const __global VALUE *m, __global out_type *out, const uint R,
                   const uint I, const uint width, const int finish, const float divisor) {
  const uint i = get_global_id(0);
  if (i >= I) {
    return;
  }
  const uint first = get_group_id(1) * width;
  const uint end = min(first + width, R);
  x += ((size_t)get_group_id(2) * R + first) * I + i;
  const __global VALUE *peak = m + (size_t)get_group_id(2) * I + i;
  const VALUE shift = shift_of(peak);
  VALUE total = NOTHING;
  for (uint r = first; r < end; r += JOIN_BLOCK) {
    VALUE part = NOTHING;
    for (uint k = min((uint)JOIN_BLOCK, end - r); k > 0; --k, x += I) {
      part = joined(part, mapped(GET(x), shift));
    }
    total = joined(total, part);
  }
  PUT(finished(total, finish, divisor, peak), out + ((size_t)get_group_id(2) * get_num_groups(1) + get_group_id(1)) * I + i);
}

// NDRange: (WG_X, O). last: as reduce_arg_plain.
__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
reduce_arg_gpu(const __global in_type *x, __global long *out, const uint R, const int last) {
  __local VALUE bests[WG_X];
  __local uint places[WG_X];
  const uint lane = get_local_id(0);
  x += (size_t)get_group_id(1) * R;
  uint place = min(lane, R - 1); // a lane right of a short row repeats its end
  VALUE best = GET(x + place);
  for (uint r = lane + WG_X; r < R; r += WG_X) {
    const VALUE v = GET(x + r);
    if (beats(v, r, best, place, last)) {
      best = v;
      place = r;
    }
  }
  bests[lane] = best;
  places[lane] = place;
  barrier(CLK_LOCAL_MEM_FENCE);
  if (lane == 0) {
    for (uint k = 1; k < WG_X; ++k) {
      if (beats(bests[k], places[k], best, place, last)) {
        best = bests[k];
        place = places[k];
      }
    }
    out[get_group_id(1)] = place;
  }
}
