// dequantize for processors with vector registers: along a run of elements scale and zero point stay the same.
//
// x and out are `n_rows` runs of `width`; run r has parameter r % n_params. Types as in dequantize.cl. A work-item takes
// TILE elements of each of rows_per_item runs. Work-groups of one; NDRange: (ceil(width / TILE), ceil(n_rows /
// rows_per_item)).

#include "quantize.h"

// Elements of a run that a work-item takes; unit: elements.
#ifndef TILE
#define TILE 16384
#endif
#ifndef WHOLE
#define WHOLE 0
#endif

#if WHOLE
typedef int stored;
#define VALUE_OF(x, flip) (x)
#else
typedef uchar stored;
#define VALUE_OF(x, flip) QUANTIZE_VALUE(x, flip)
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
dequantize_cpu(const __global stored *restrict x, const __global float *restrict scale,
               const __global stored *restrict zero, __global float *restrict out, const uint n_rows, const uint width,
               const uint n_params, const uint has_zero, const int flip, const uint rows_per_item) {
  const uint first = get_group_id(0) * TILE;
  const uint n = min((uint)TILE, width - first);
  uint row = get_group_id(1) * rows_per_item;
  for (const uint end = min(row + rows_per_item, n_rows); row < end; ++row) {
    const uint at = row % n_params;
    const float factor = scale[at];
    const int middle = has_zero ? VALUE_OF(zero[at], flip) : 0;
    const __global stored *from = x + (size_t)row * width + first;
    __global float *to = out + (size_t)row * width + first;
    for (uint i = 0; i < n; ++i) {
      to[i] = (float)(VALUE_OF(from[i], flip) - middle) * factor;
    }
  }
}
