// rmsnorm for wavefronts: a work-group of WG_X shares a row. 2 reads, the second mostly from cache, + 1 write.
//
// Shapes and RESIDUAL as in rmsnorm.cl; out may be x. NDRange: R * WG_X. A work-item reads again only what it wrote
// itself, so the sum needs no barrier.

#include "mac.h"
#include "reduce.h"
#include "storage.h"

// 1: add `residual` first and give the sum too; 0: residual and total are not touched.
#ifndef RESIDUAL
#define RESIDUAL 0
#endif
// Work-items per group; unit: work-items, a multiple of 64. Four wavefronts, one for each SIMD of a CU; the launcher
// takes one wavefront for short rows.
#ifndef WG_X
#define WG_X 256
#endif

DEFINE_REDUCE(row_sum, ADD)

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
rmsnorm_gpu(const __global stored *x, const __global stored *scale, const __global stored *residual,
            __global stored *out, __global stored *total, const uint n_cols, const float epsilon) {
  __local float lanes[WG_X];
  const uint lane = get_local_id(0);
  const size_t offset = (size_t)get_group_id(0) * n_cols;
  x += offset;
  out += offset;
#if RESIDUAL
  residual += offset;
  total += offset;
  for (uint i = lane; i < n_cols; i += WG_X) {
    WRITE(READ(x + i) + READ(residual + i), total + i);
  }
  x = total;
#endif
  float squares = 0.0f;
  for (uint i = lane; i < n_cols; i += WG_X) {
    const float v = READ(x + i);
    squares = MAC(v, v, squares);
  }
  const float factor = 1.0f / sqrt(row_sum(squares, lanes, lane, WG_X) / n_cols + epsilon);
  for (uint i = lane; i < n_cols; i += WG_X) {
    WRITE(READ(x + i) * factor * READ(scale + i), out + i);
  }
}
