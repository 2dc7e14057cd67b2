// out[i] = x[start + i * step] along every axis, steps of either sign, bit for bit.
//
// Shapes: x and out of the same rank up to 8; elements of 1, 2, 4 or 8 bytes. Traffic: 1 read + 1 write of out's
// elements. Two templates, one result: slice_plain moves an element per work-item, slice_cpu walks rows.

#include "rows.h"

__kernel void slice_plain(const __global element *x, __global element *out, WALK_ARGUMENTS) {
  walk_element(x, out, n_rows, n_columns, start, step, n, source, target);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void slice_cpu(const __global element *x, __global element *out,
                                                                       WALK_ARGUMENTS, const uint rows_per_item,
                                                                       const uint width, const int stream) {
  walk_rows(x, out, n_rows, n_columns, start, step, n, source, target, rows_per_item, width, stream);
}
