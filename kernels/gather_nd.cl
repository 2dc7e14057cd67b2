// out[b, i, :] = x[b, indices[b, i, 0], ..., indices[b, i, depth - 1], :], bit for bit; 0 where an index names nothing.
//
// Shapes: x (B, n_0, ..., n_depth-1, C), indices (B, I, depth), out (B, I, C), with rows of C elements of 1, 2, 4 or 8
// bytes, or several of a row as one of up to 16. Traffic: 1 read + 1 write of B*I*C elements, 1 read of the indices.
// Two templates, one result: gather_nd_plain moves an element per work-item; gather_nd_cpu, in groups of one, rows.

#include "index.h"
#include "rows.h"

__kernel void gather_nd_plain(const __global element *x, const __global index *indices, __global element *out,
                              const uint n_rows, const uint n_columns, const uint rows_per_batch, const uint depth,
                              const int8 n) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int there = row_of(indices + (size_t)row * depth, depth, n, (int)(row / rows_per_batch));
  element found = (element)(0);
  if (there >= 0) {
    found = x[(uint)there * n_columns + i - row * n_columns];
  }
  out[i] = found;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gather_nd_cpu(const __global element *x, const __global index *indices, __global element *out, const uint n_rows,
              const uint n_columns, const uint rows_per_batch, const uint depth, const int8 n,
              const uint rows_per_item, const uint width, const int stream) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  const uint first = get_group_id(1) * rows_per_item;
  for (uint row = first; row < min(first + rows_per_item, n_rows); ++row) {
    const int there = row_of(indices + (size_t)row * depth, depth, n, (int)(row / rows_per_batch));
    __global element *to = out + (size_t)row * n_columns + column;
    if (there < 0) {
      fill_row(to, columns, (element)(0));
    } else {
      copy_row(x + (size_t)there * n_columns + column, to, columns, stream);
    }
  }
}
