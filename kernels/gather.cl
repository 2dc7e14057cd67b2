// out[a, i, c] = x[a, indices[i], c], bit for bit; 0 where an index names nothing in the axis.
//
// Shapes: x (A,N,C), indices (I), out (A,I,C); elements of 1, 2, 4 or 8 bytes, or several of a row as one of up to 16.
// Traffic: 1 read + 1 write of A*I*C elements, 1 read of the indices. Two templates, one result: gather_plain moves an
// element per work-item; gather_cpu, in work-groups of one, copies rows of C elements.

#include "index.h"
#include "rows.h"

__kernel void gather_plain(const __global element *x, const __global index *indices, __global element *out,
                           const uint n_rows, const uint n_columns, const uint n_places, const uint n_indices) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const uint a = row / n_indices;
  const int place = place_of(indices[row - a * n_indices], (int)n_places);
  element found = (element)(0);
  if (place >= 0) {
    found = x[(a * n_places + place) * n_columns + i - row * n_columns];
  }
  out[i] = found;
}

// The element at index i of n_places > 0, without a branch, so that the loads of neighbours overlap.
static inline element element_at(const __global element *x, const index i, const int n_places) {
  const int place = place_of(i, n_places);
  const element found = x[max(place, 0)];
  return place < 0 ? (element)(0) : found;
}

// Rows of one element: `turn` of them from as many indices on.
static inline void gather_elements(const __global element *x, const __global index *indices, __global element *to,
                                   const uint turn, const int n_places) {
  if (n_places == 0) {
    fill_row(to, turn, (element)(0));
    return;
  }
  uint k = 0;
  for (; k + 4 <= turn; k += 4) {
    const element v0 = element_at(x, indices[k], n_places), v1 = element_at(x, indices[k + 1], n_places);
    const element v2 = element_at(x, indices[k + 2], n_places), v3 = element_at(x, indices[k + 3], n_places);
    to[k] = v0;
    to[k + 1] = v1;
    to[k + 2] = v2;
    to[k + 3] = v3;
  }
  for (; k < turn; ++k) {
    to[k] = element_at(x, indices[k], n_places);
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gather_cpu(const __global element *x, const __global index *indices, __global element *out, const uint n_rows,
           const uint n_columns, const uint n_places, const uint n_indices, const uint rows_per_item, const uint width,
           const int stream) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  const uint first = get_group_id(1) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  const uint a = first / n_indices;
  uint i = first - a * n_indices; // not by %: clang freezes what is divided twice, which Oclgrind does not know
  x += (size_t)a * n_places * n_columns + column;
  if (n_columns == 1) {
    for (uint row = first, turn; row < end; row += turn, i = 0, x += n_places) {
      turn = min(n_indices - i, end - row);
      gather_elements(x, indices + i, out + row, turn, (int)n_places);
    }
    return;
  }
  for (uint row = first; row < end; ++row) {
    const int place = place_of(indices[i], (int)n_places);
    __global element *to = out + (size_t)row * n_columns + column;
    if (place < 0) {
      fill_row(to, columns, (element)(0));
    } else {
      copy_row(x + (size_t)place * n_columns, to, columns, stream);
    }
    if (++i == n_indices) {
      i = 0;
      x += (size_t)n_places * n_columns;
    }
  }
}
