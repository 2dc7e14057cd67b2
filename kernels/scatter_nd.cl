// out = x, but out[indices[i, 0], ..., indices[i, depth - 1], :] = updates[i, :], bit for bit.
//
// Shapes: x and out (n_0, ..., n_depth-1, C), indices (I, depth), updates (I, C); elements of 1, 2, 4 or 8 bytes, or
// several of a row as one of up to 16. An index that names nothing writes nothing; of several for one row, any may win.
// Traffic: 1 read + 1 write of x, 1 read + 1 write of updates, 1 read of the indices. Two launches, each by one of two
// templates: scatter_nd_keep_* copies x, scatter_nd_* the updates, by elements (plain) or rows (cpu).

#include "index.h"
#include "rows.h"

__kernel void scatter_nd_keep_plain(const __global element *x, __global element *out, WALK_ARGUMENTS) {
  walk_element(x, out, n_rows, n_columns, start, step, n, source, target);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
scatter_nd_keep_cpu(const __global element *x, __global element *out, WALK_ARGUMENTS, const uint rows_per_item,
                    const uint width, const int stream) {
  walk_rows(x, out, n_rows, n_columns, start, step, n, source, target, rows_per_item, width, stream);
}

__kernel void scatter_nd_plain(const __global index *indices, const __global element *updates, __global element *out,
                               const uint n_rows, const uint n_columns, const uint depth, const int8 n) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int there = row_of(indices + (size_t)row * depth, depth, n, 0);
  if (there >= 0) {
    out[(uint)there * n_columns + i - row * n_columns] = updates[i];
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
scatter_nd_cpu(const __global index *indices, const __global element *updates, __global element *out,
               const uint n_rows, const uint n_columns, const uint depth, const int8 n, const uint rows_per_item,
               const uint width, const int stream) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  const uint first = get_group_id(1) * rows_per_item;
  for (uint row = first; row < min(first + rows_per_item, n_rows); ++row) {
    const int there = row_of(indices + (size_t)row * depth, depth, n, 0);
    if (there >= 0) {
      copy_row(updates + (size_t)row * n_columns + column, out + (size_t)there * n_columns + column, columns, stream);
    }
  }
}
