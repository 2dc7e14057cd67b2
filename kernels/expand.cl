// out = x repeated along its axes of length 1, and along axes put in front, bit for bit.
//
// Shapes: x, out of rank up to 8; elements of 1, 2, 4 or 8 bytes. Traffic: 1 read of x, later ones mostly from cache, +
// 1 write of out. Two templates, one result: expand_plain moves an element per work-item, expand_cpu walks rows.

#include "rows.h"

__kernel void expand_plain(const __global element *x, __global element *out, WALK_ARGUMENTS) {
  walk_element(x, out, n_rows, n_columns, start, step, n, source, target);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void expand_cpu(const __global element *x,
                                                                        __global element *out, WALK_ARGUMENTS,
                                                                        const uint rows_per_item, const uint width,
                                                                        const int stream) {
  walk_rows(x, out, n_rows, n_columns, start, step, n, source, target, rows_per_item, width, stream);
}
