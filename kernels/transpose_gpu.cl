// transpose for wavefronts: square tiles of a plane go through local memory, so that both sides are coalesced.
//
// A plane has P rows, p_step apart in x, of Q neighbouring elements; in out it has Q rows, q_step apart, of P
// neighbours. n, source, target: the axes beside the plane, as in walk.h. NDRange: (tiles of Q, tiles of P, planes).

#include "walk.h"

// Side of a tile; unit: elements. 32 floats are two lines of cache; 64 need four times the local memory.
#ifndef TILE
#define TILE 32
#endif
// Rows of a tile that a group moves at once; unit: rows. TILE * WG_Y work-items are whole wavefronts, at most four.
#ifndef WG_Y
#define WG_Y 8
#endif

__kernel __attribute__((reqd_work_group_size(TILE, WG_Y, 1))) void
transpose_gpu(const __global element *x, __global element *out, const uint n_p, const uint n_q, const uint p_step,
              const uint q_step, const uint8 n, const int8 source, const int8 target) {
  __local element tile[TILE][TILE + 1]; // one more, so that a column's elements lie in different banks
  const uint lane = get_local_id(0), row = get_local_id(1);
  const uint q0 = get_group_id(0) * TILE, p0 = get_group_id(1) * TILE;
  const int2 at = walk_to(get_group_id(2), n, source, target);
  x += at.x + (p0 + row) * p_step + q0 + lane;
  out += at.y + (q0 + row) * q_step + p0 + lane;
  if (q0 + lane < n_q) {
#pragma unroll
    for (uint k = 0; k < TILE; k += WG_Y, x += WG_Y * p_step) {
      if (p0 + row + k < n_p) {
        tile[row + k][lane] = *x;
      }
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (p0 + lane < n_p) {
#pragma unroll
    for (uint k = 0; k < TILE; k += WG_Y, out += WG_Y * q_step) {
      if (q0 + row + k < n_q) {
        *out = tile[lane][row + k];
      }
    }
  }
}
