// out = the sum, maximum, minimum or product of x over R, with a function before and one after: x (O,R,I), out (O,I).
//
// Shapes: row-major, no padding; types in reduction.h. m (O,I): the maxima, for log_sum_exp; else any array. This is the
// plain kernel: one work-item per output. Traffic: 1 read of O*R*I + 1 write of O*I. reduce_arg_plain gives the place of
// the largest or smallest value instead, in 64 bits. reduce_gpu.cl is shaped for wavefronts, reduce_cpu.cl for cores.

#include "reduction.h"

// Values that are joined before they join the total; unit: values. So errors grow with R / 64 and not with R.
#define JOIN_BLOCK 64

__kernel void reduce_plain(const __global in_type *x, const __global VALUE *m, __global out_type *out, const uint n_out,
                           const uint R, const uint I, const int finish, const float divisor) {
  const uint id = get_global_id(0);
  if (id >= n_out) {
    return;
  }
  const uint o = id / I;
  x += (size_t)o * R * I + (id - o * I);
  const VALUE shift = shift_of(m + id);
  VALUE total = NOTHING;
  for (uint r = 0; r < R; r += JOIN_BLOCK) {
    VALUE part = NOTHING;
    for (uint k = min((uint)JOIN_BLOCK, R - r); k > 0; --k, x += I) {
      part = joined(part, mapped(GET(x), shift));
    }
    total = joined(total, part);
  }
  PUT(finished(total, finish, divisor, m + id), out + id);
}

// last: whether the last of equal values counts, instead of the first. The first NaN (or the last) beats all.
__kernel void reduce_arg_plain(const __global in_type *x, __global long *out, const uint n_out, const uint R,
                               const uint I, const int last) {
  const uint id = get_global_id(0);
  if (id >= n_out) {
    return;
  }
  const uint o = id / I;
  x += (size_t)o * R * I + (id - o * I);
  VALUE best = GET(x);
  uint place = 0;
  x += I;
  for (uint r = 1; r < R; ++r, x += I) {
    const VALUE v = GET(x);
    if (beats(v, r, best, place, last)) {
      best = v;
      place = r;
    }
  }
  out[id] = place;
}
