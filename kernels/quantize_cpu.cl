// quantize for processors with vector registers: along a run of elements scale and zero point stay the same.
//
// x and out are `n_rows` runs of `width`; run r has parameter r % n_params. A work-item takes TILE elements of each of
// rows_per_item runs. Work-groups of one; NDRange: (ceil(width / TILE), ceil(n_rows / rows_per_item)).

#include "quantize.h"

// Elements of a run that a work-item takes; unit: elements.
#ifndef TILE
#define TILE 16384
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
quantize_cpu(const __global float *restrict x, const __global float *restrict scale, const __global uchar *restrict zero,
             __global uchar *restrict out, const uint n_rows, const uint width, const uint n_params,
             const uint has_zero, const int flip, const uint rows_per_item) {
  const uint first = get_group_id(0) * TILE;
  const uint n = min((uint)TILE, width - first);
  uint row = get_group_id(1) * rows_per_item;
  for (const uint end = min(row + rows_per_item, n_rows); row < end; ++row) {
    const uint at = row % n_params;
    const float factor = scale[at];
    const int middle = has_zero ? QUANTIZE_VALUE(zero[at], flip) : 0;
    const __global float *from = x + (size_t)row * width + first;
    __global uchar *to = out + (size_t)row * width + first;
    for (uint i = 0; i < n; ++i) {
      to[i] = quantized(from[i], factor, middle, flip);
    }
  }
}
