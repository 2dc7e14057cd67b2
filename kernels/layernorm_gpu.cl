// layernorm for wavefronts: a work-group of WG_X shares a row. 3 reads, the later ones mostly from cache, + 1 write.
//
// Shapes and numerics as in layernorm.cl; out may be x. NDRange: R * WG_X. Reads of neighbouring values by neighbouring
// work-items coalesce at any alignment, so odd C costs nothing.

#include "mac.h"
#include "reduce.h"
#include "storage.h"

// Work-items per group; unit: work-items, a multiple of 64. Four wavefronts, one for each SIMD of a CU; the launcher
// takes one wavefront for short rows.
#ifndef WG_X
#define WG_X 256
#endif

DEFINE_REDUCE(row_sum, ADD)

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
layernorm_gpu(const __global stored *x, const __global stored *scale, const __global stored *bias, __global stored *out,
              const uint n_cols, const float epsilon) {
  __local float lanes[WG_X];
  const uint lane = get_local_id(0);
  const size_t offset = (size_t)get_group_id(0) * n_cols;
  x += offset;
  out += offset;
  const float share = 1.0f / n_cols;
  float sum = 0.0f;
  for (uint i = lane; i < n_cols; i += WG_X) {
    sum += READ(x + i);
  }
  const float mean = row_sum(sum, lanes, lane, WG_X) * share;
  float rest = 0.0f, squares = 0.0f;
  for (uint i = lane; i < n_cols; i += WG_X) {
    const float d = READ(x + i) - mean;
    rest += d;
    squares = MAC(d, d, squares);
  }
  rest = row_sum(rest, lanes, lane, WG_X) * share;
  const float variance = row_sum(squares, lanes, lane, WG_X) * share - rest * rest;
  const float factor = 1.0f / sqrt((variance < 0.0f ? 0.0f : variance) + epsilon);
  for (uint i = lane; i < n_cols; i += WG_X) {
    const float d = READ(x + i) - mean - rest;
    WRITE(MAC(d * factor, READ(scale + i), READ(bias + i)), out + i);
  }
}
