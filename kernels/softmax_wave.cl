// softmax for rows that a wavefront holds in registers: C <= 64 * PER_ITEM. 1 read + 1 write of R*C floats.
//
// Shapes and special values as in softmax.cl; out may be x. A group has WG_Y wavefronts and takes as many rows.

#include "exp.h"
#include "reduce.h"
#include "storage.h"

// Rows per group; unit: rows, each of one wavefront. Four wavefronts, one for each SIMD of a CU.
#ifndef WG_Y
#define WG_Y 4
#endif
// Values per work-item; unit: floats in VGPRs. 16 cover rows of up to 1024 and take 47 VGPRs in all (clang 18 for
// gfx803, not run on a card), which leaves room for 5 waves a SIMD; 4 take 23, for 10 waves.
#ifndef PER_ITEM
#define PER_ITEM 16
#endif

#define WAVEFRONT 64

DEFINE_EXP(exp_of, float, int)
// fmax drops a NaN, which is well: the row's sum meets that NaN again.
DEFINE_REDUCE(row_max, fmax)
DEFINE_REDUCE(row_sum, ADD)

__kernel __attribute__((reqd_work_group_size(WAVEFRONT, WG_Y, 1))) void
softmax_wave(const __global stored *x, __global stored *out, const uint n_rows, const uint n_cols) {
  __local float all_lanes[WG_Y * WAVEFRONT];
  __local float *lanes = all_lanes + get_local_id(1) * WAVEFRONT;
  const uint lane = get_local_id(0);
  const size_t row = get_global_id(1);
  // A row past the end still takes part in the barriers, with nothing to read or write.
  const uint width = row < n_rows ? n_cols : 0;
  x += row * n_cols;
  out += row * n_cols;
  float v[PER_ITEM];
  float top = -INFINITY;
#pragma unroll
  for (uint k = 0; k < PER_ITEM; ++k) {
    const uint i = lane + k * WAVEFRONT;
    v[k] = i < width ? READ(x + i) : -INFINITY;
    top = fmax(top, v[k]);
  }
  top = row_max(top, lanes, lane, WAVEFRONT);
  float sum = 0.0f;
#pragma unroll
  for (uint k = 0; k < PER_ITEM; ++k) {
    v[k] = exp_of(v[k] - top); // 0 right of the row's end
    sum += v[k];
  }
  const float scale = 1.0f / row_sum(sum, lanes, lane, WAVEFRONT);
#pragma unroll
  for (uint k = 0; k < PER_ITEM; ++k) {
    const uint i = lane + k * WAVEFRONT;
    if (i < width) {
      WRITE(v[k] * scale, out + i);
    }
  }
}
