// out[.., i, ..] = x[.., indices[.., i, ..], ..] along an axis, bit for bit; 0 where an index names nothing.
//
// Shapes: indices and out of one shape, at most x's but along the axis, rank up to 8; elements of 1, 2, 4 or 8 bytes.
// A walk (walk.h) over indices: its source strides are x's, 0 along the axis, and its target strides those of indices.
// Traffic: 1 read of out's elements, scattered along the axis, + 1 write, 1 read of the indices. Two templates, one
// result: gather_elements_plain moves an element per work-item; gather_elements_cpu, in work-groups of one, rows.

#include "index.h"
#include "walk.h"

static inline element fetched(const __global element *x, const index i, const int n_places, const int axis_step) {
  const int place = place_of(i, n_places);
  element found = (element)(0);
  if (place >= 0) {
    found = x[(long)place * axis_step];
  }
  return found;
}

__kernel void gather_elements_plain(const __global element *x, const __global index *indices, __global element *out,
                                    WALK_ARGUMENTS, const int n_places, const int axis_step) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int2 at = walk_to(row, n, source, target) + (int)(i - row * n_columns) * step;
  out[at.y] = fetched(x + at.x, indices[at.y], n_places, axis_step);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gather_elements_cpu(const __global element *x, const __global index *indices, __global element *out, WALK_ARGUMENTS,
                    const int n_places, const int axis_step, const uint rows_per_item, const uint width,
                    const int stream) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  const uint first = get_group_id(1) * rows_per_item;
  for (uint row = first; row < min(first + rows_per_item, n_rows); ++row) {
    const int2 at = walk_to(row, n, source, target) + (int)column * step;
    const __global element *from = x + at.x;
    for (uint k = 0; k < columns; ++k, from += step.x) {
      out[at.y + k] = fetched(from, indices[at.y + k], n_places, axis_step);
    }
  }
}
