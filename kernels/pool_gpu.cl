// Pooling of whole planes for wavefronts: out[r] = the maximum or the mean of x[r, :].
//
// Shapes: x (R, S), out (R), row-major. A NaN in a plane is its maximum. A group has WG_Y rows of WG_X work-items, each
// row takes a plane. Traffic: 1 read of R*S, coalesced at any alignment.

#include "reduce.h"
#include "storage.h"

// Work-items per plane; unit: work-items, a multiple of 64. One wavefront does for planes of a few hundred values.
#ifndef WG_X
#define WG_X 64
#endif
// Planes per group; unit: planes. With WG_X four wavefronts, one for each SIMD of a CU.
#ifndef WG_Y
#define WG_Y 4
#endif
// 0: the maximum; 1: the mean.
#ifndef AVERAGE
#define AVERAGE 0
#endif
// Elements of x and out: 0 floats, stored as HALF says; 1 signed bytes; 2 unsigned bytes, which floats hold exactly.
#ifndef BYTES
#define BYTES 0
#endif

#if BYTES == 0
typedef stored element;
#define GET(p) READ(p)
#define PUT(v, p) WRITE(v, p)
#elif BYTES == 1
typedef char element;
#define GET(p) ((float)*(p))
#define PUT(v, p) (*(p) = (char)(v))
#else
typedef uchar element;
#define GET(p) ((float)*(p))
#define PUT(v, p) (*(p) = (uchar)(v))
#endif

#if AVERAGE
#define JOIN(v, all) ADD(v, all)
#define NONE 0.0f
#else
#define JOIN(v, all) ((v) > (all) || (v) != (v) ? (v) : (all))
#define NONE -INFINITY
#endif
DEFINE_REDUCE(row_join, JOIN)

__kernel __attribute__((reqd_work_group_size(WG_X, WG_Y, 1))) void
pool_gpu(const __global element *x, __global element *out, const uint n_planes, const uint size) {
  __local float all_lanes[WG_Y * WG_X];
  __local float *lanes = all_lanes + get_local_id(1) * WG_X;
  const uint lane = get_local_id(0);
  const size_t plane = get_global_id(1);
  // A plane past the end still takes part in the barriers, with nothing to read or write.
  const uint n = plane < n_planes ? size : 0;
  x += plane * size;
  float a = NONE, b = NONE, c = NONE, d = NONE; // four loads in flight
  uint i = lane;
  for (; i + 3 * WG_X < n; i += 4 * WG_X) {
    const float p = GET(x + i), q = GET(x + i + WG_X), r = GET(x + i + 2 * WG_X), s = GET(x + i + 3 * WG_X);
    a = JOIN(p, a);
    b = JOIN(q, b);
    c = JOIN(r, c);
    d = JOIN(s, d);
  }
  for (; i < n; i += WG_X) {
    const float p = GET(x + i);
    a = JOIN(p, a);
  }
  a = JOIN(b, a);
  c = JOIN(d, c);
  a = JOIN(c, a);
  a = row_join(a, lanes, lane, WG_X);
  if (lane == 0 && n > 0) {
    PUT(AVERAGE ? a / (float)n : a, out + plane);
  }
}
