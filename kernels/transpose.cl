// out = x with its axes in another order: out[i_perm[0], i_perm[1], ...] = x[i_0, i_1, ...], bit for bit.
//
// Shapes: x of any rank up to 8, out of the same lengths in the order of perm; elements of 1, 2, 4 or 8 bytes. Traffic:
// 1 read + 1 write of all elements. This is the plain kernel: neighbours write neighbours, and reads are strided.
// transpose_gpu.cl and transpose_cpu.cl turn blocks, so that reads and writes are both of neighbours.

#include "walk.h"

__kernel void transpose_plain(const __global element *x, __global element *out, WALK_ARGUMENTS) {
  walk_element(x, out, n_rows, n_columns, start, step, n, source, target);
}
