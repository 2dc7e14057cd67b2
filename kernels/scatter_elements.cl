// out = x, but out[.., indices[.., i, ..], ..] = updates[.., i, ..] along an axis, bit for bit.
//
// Shapes: x and out of one shape; indices and updates of another, at most x's but along the axis; rank up to 8;
// elements of 1, 2, 4 or 8 bytes. A walk (walk.h) over indices: its source strides are out's, 0 along the axis, its
// target strides those of indices. An index that names nothing writes nothing; of several for one element any may win.
// Traffic: 1 read + 1 write of x, 1 read + 1 write of updates, 1 read of the indices. Two launches, each by one of two
// templates: scatter_elements_keep_* copies x, scatter_elements_* the updates.

#include "index.h"
#include "rows.h"

__kernel void scatter_elements_keep_plain(const __global element *x, __global element *out, WALK_ARGUMENTS) {
  walk_element(x, out, n_rows, n_columns, start, step, n, source, target);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
scatter_elements_keep_cpu(const __global element *x, __global element *out, WALK_ARGUMENTS, const uint rows_per_item,
                          const uint width, const int stream) {
  walk_rows(x, out, n_rows, n_columns, start, step, n, source, target, rows_per_item, width, stream);
}

__kernel void scatter_elements_plain(const __global index *indices, const __global element *updates,
                                     __global element *out, WALK_ARGUMENTS, const int n_places, const int axis_step) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int2 at = walk_to(row, n, source, target) + (int)(i - row * n_columns) * step;
  const int place = place_of(indices[at.y], n_places);
  if (place >= 0) {
    out[at.x + (long)place * axis_step] = updates[at.y];
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
scatter_elements_cpu(const __global index *indices, const __global element *updates, __global element *out,
                     WALK_ARGUMENTS, const int n_places, const int axis_step, const uint rows_per_item,
                     const uint width, const int stream) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  const uint first = get_group_id(1) * rows_per_item;
  for (uint row = first; row < min(first + rows_per_item, n_rows); ++row) {
    const int2 at = walk_to(row, n, source, target) + (int)column * step;
    __global element *to = out + at.x;
    for (uint k = 0; k < columns; ++k, to += step.x) {
      const int place = place_of(indices[at.y + k], n_places);
      if (place >= 0) {
        to[(long)place * axis_step] = updates[at.y + k];
      }
    }
  }
}
