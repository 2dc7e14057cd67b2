// softmax for wavefronts: work-groups of WG_X share a row.
//
// Shapes and special values as in softmax.cl; out may be x. Reads of neighbouring floats by neighbouring work-items
// coalesce at any alignment, so odd C costs nothing. Two ways:
//   softmax_gpu   one work-group per row, any C. 3 reads, the later ones mostly from cache, + 1 write.
//   softmax_gpu_partial, softmax_gpu_write   few long rows: a row is shared by n_segments groups. 3 reads + 1 write.

#include "exp.h"
#include "reduce.h"
#include "storage.h"

// Work-items per group; unit: work-items, a multiple of 64. Four wavefronts, one for each SIMD of a CU.
#ifndef WG_X
#define WG_X 256
#endif

DEFINE_EXP(exp_of, float, int)
// fmax drops a NaN, which is well: the row's sum meets that NaN again.
DEFINE_REDUCE(row_max, fmax)
DEFINE_REDUCE(row_sum, ADD)

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void softmax_gpu(const __global stored *x,
                                                                            __global stored *out, const uint n_cols) {
  __local float lanes[WG_X];
  const uint lane = get_local_id(0);
  const size_t offset = (size_t)get_group_id(0) * n_cols;
  x += offset;
  out += offset;
  float top = -INFINITY;
  for (uint i = lane; i < n_cols; i += WG_X) {
    top = fmax(top, READ(x + i));
  }
  top = row_max(top, lanes, lane, WG_X);
  float sum = 0.0f;
  for (uint i = lane; i < n_cols; i += WG_X) {
    sum += exp_of(READ(x + i) - top);
  }
  const float scale = 1.0f / row_sum(sum, lanes, lane, WG_X);
  for (uint i = lane; i < n_cols; i += WG_X) {
    WRITE(exp_of(READ(x + i) - top) * scale, out + i);
  }
}

// maxima, sums (R, n_segments): of each segment of `width` columns, the maximum and the sum of exp(x - that maximum).
// A segment of -infinity alone has sum 0, so that it adds nothing to the rest of its row.
__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
softmax_gpu_partial(const __global stored *x, __global float *maxima, __global float *sums, const uint n_cols,
                    const uint width) {
  __local float lanes[WG_X];
  const uint lane = get_local_id(0);
  const uint first = get_group_id(0) * width;
  const uint end = min(first + width, n_cols);
  x += get_group_id(1) * (size_t)n_cols;
  float top = -INFINITY;
  for (uint i = first + lane; i < end; i += WG_X) {
    top = fmax(top, READ(x + i));
  }
  top = row_max(top, lanes, lane, WG_X);
  const float shift = top == -INFINITY ? 0.0f : top;
  float sum = 0.0f;
  for (uint i = first + lane; i < end; i += WG_X) {
    sum += exp_of(READ(x + i) - shift);
  }
  sum = row_sum(sum, lanes, lane, WG_X);
  if (lane == 0) {
    const size_t segment = get_group_id(1) * get_num_groups(0) + get_group_id(0);
    maxima[segment] = top;
    sums[segment] = sum;
  }
}

// Joins the row's segments, then writes this group's own.
__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
softmax_gpu_write(const __global stored *x, const __global float *maxima, const __global float *sums,
                  __global stored *out, const uint n_cols, const uint width) {
  __local float lanes[WG_X];
  const uint lane = get_local_id(0);
  const uint n_segments = get_num_groups(0);
  maxima += get_group_id(1) * n_segments;
  sums += get_group_id(1) * n_segments;
  float top = -INFINITY;
  for (uint k = lane; k < n_segments; k += WG_X) {
    top = fmax(top, maxima[k]);
  }
  top = row_max(top, lanes, lane, WG_X);
  float sum = 0.0f;
  for (uint k = lane; k < n_segments; k += WG_X) {
    sum += sums[k] * exp_of(maxima[k] - top);
  }
  const float scale = 1.0f / row_sum(sum, lanes, lane, WG_X);
  const uint first = get_group_id(0) * width;
  const uint end = min(first + width, n_cols);
  x += get_group_id(1) * (size_t)n_cols;
  out += get_group_id(1) * (size_t)n_cols;
  for (uint i = first + lane; i < end; i += WG_X) {
    WRITE(exp_of(READ(x + i) - top) * scale, out + i);
  }
}
