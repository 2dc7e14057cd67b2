// Pooling over windows of 1 to 3 dimensions: out[r, o] = the maximum or the mean of the window at o of plane r.
//
// Shapes: x (R, D, H, W), out (R, OD, OH, OW), row-major; R is batch times channels, dimensions that are not there have
// length 1. int4 arguments hold one value per dimension: .x for W, .y for H, .z for D. A window's tap k lies at
// o * stride - pad + k * dilation; taps outside the plane are left out. A NaN in a window is its maximum. A window with
// no tap inside gives the lowest finite value, or the mean 0. This is the plain file: one work-item per element of out;
// pool_gpu.cl shares whole planes, pool_cpu.cl is shaped for a processor's cores. Traffic: x once, since windows that
// overlap meet in a cache, and out once.

#include "storage.h"

// 0: the maximum; 1: the mean.
#ifndef AVERAGE
#define AVERAGE 0
#endif
// Elements of x and out: 0 floats, stored as HALF says; 1 signed bytes; 2 unsigned bytes. Maximum only.
#ifndef BYTES
#define BYTES 0
#endif

#if BYTES == 0
typedef stored element;
typedef float value;
#define GET(p) READ(p)
#define PUT(v, p) WRITE(v, p)
#define NONE (AVERAGE ? 0.0f : -INFINITY)
#define LOWEST (HALF ? -65504.0f : -FLT_MAX)
#else // compared as ints: llvmpipe crashes on bytes
#if BYTES == 1
typedef char element;
#define LOWEST CHAR_MIN
#else
typedef uchar element;
#define LOWEST 0
#endif
typedef int value;
#define GET(p) ((int)*(p))
#define PUT(v, p) (*(p) = (element)(v))
#define NONE LOWEST
#endif

#define EXCEEDS(v, most) ((v) > (most) || (v) != (v))
#if AVERAGE
#define JOIN(v, all) ((v) + (all))
#else
#define JOIN(v, all) (EXCEEDS(v, all) ? (v) : (all))
#endif

// Whether 0 <= i < n, in one comparison.
#define INSIDE(i, n) ((uint)(i) < (uint)(n))

// Where window i lies: its place along each dimension, and its plane. Without %: beside / clang makes of it a "freeze",
// which Oclgrind's uninitialized check does not know, as it does not know lanes that a vector's making leaves unset.
#define PLACE(i, n)                                                                                                    \
  const uint line = (i) / (uint)(n).x, layer_of_line = line / (uint)(n).y, plane = layer_of_line / (uint)(n).z;        \
  const int place_x = (i) - line * (n).x, place_y = line - layer_of_line * (n).y;                                      \
  const int place_z = layer_of_line - plane * (n).z;                                                                   \
  const int start_x = place_x * stride.x - pad.x, start_y = place_y * stride.y - pad.y;                                \
  const int start_z = place_z * stride.z - pad.z;

// How many taps of a window from `start` on lie before `end`; start may be negative.
static inline int taps_before(const int start, const int end, const int dilation, const int kernel_size) {
  return min(kernel_size, (end - start + dilation - 1) / dilation);
}

// limit: the end of x with its padding, up to which a mean that counts padding counts taps; all 0: count only taps
// inside. n: elements of out.
__kernel void pool_plain(const __global element *x, __global element *out, const int4 in, const int4 to,
                         const int4 kernel_size, const int4 stride, const int4 dilation, const int4 pad,
                         const int4 limit, const uint n) {
  const uint i = get_global_id(0);
  if (i >= n) {
    return;
  }
  PLACE(i, to)
  x += (size_t)plane * in.x * in.y * in.z;
  const int row_step = dilation.y * in.x;
  const int layer_step = dilation.z * in.y * in.x;
  value all = NONE;
  int taps = 0;
  // Offsets and not pointers: the first tap may lie before x. A sum of sums of rows, so that errors grow with the
  // window's sides and not with its volume.
  int layer = (start_z * in.y + start_y) * in.x;
  for (int z = start_z, k = 0; k < kernel_size.z; ++k, z += dilation.z, layer += layer_step) {
    if (!INSIDE(z, in.z)) {
      continue;
    }
    value of_layer = NONE;
    int row = layer;
    for (int y = start_y, j = 0; j < kernel_size.y; ++j, y += dilation.y, row += row_step) {
      if (!INSIDE(y, in.y)) {
        continue;
      }
      value of_row = NONE;
      for (int w = start_x, l = 0; l < kernel_size.x; ++l, w += dilation.x) {
        if (INSIDE(w, in.x)) {
          const value v = GET(x + (row + w));
          of_row = JOIN(v, of_row);
          ++taps;
        }
      }
      of_layer = JOIN(of_row, of_layer);
    }
    all = JOIN(of_layer, all);
  }
#if AVERAGE
  if (limit.x > 0) {
    taps = taps_before(start_x, limit.x, dilation.x, kernel_size.x) *
           taps_before(start_y, limit.y, dilation.y, kernel_size.y) *
           taps_before(start_z, limit.z, dilation.z, kernel_size.z);
  }
  PUT(taps > 0 ? all / (float)taps : 0.0f, out + i);
#else
  PUT(taps > 0 ? all : LOWEST, out + i);
#endif
}

// Values of a plane that are joined before they join the rest; unit: values. So errors grow with S / 64.
#define BLOCK 64

// Whole planes (R, S) -> (R), one to a work-item.
__kernel void pool_plain_whole(const __global element *x, __global element *out, const uint n_planes, const uint size) {
  const uint plane = get_global_id(0);
  if (plane >= n_planes) {
    return;
  }
  x += (size_t)plane * size;
  value all = NONE;
  for (uint start = 0; start < size; start += BLOCK) {
    value part = NONE;
    for (uint i = start; i < min(start + BLOCK, size); ++i) {
      const value v = GET(x + i);
      part = JOIN(v, part);
    }
    all = JOIN(part, all);
  }
  PUT(AVERAGE ? all / (value)size : all, out + plane);
}

#if !AVERAGE
// The maximum and where in x it is: the first of equals, the first NaN, -1 in a window with no tap inside.
// step: what one element along each dimension adds to an index.
__kernel void pool_indices(const __global element *x, __global element *out, __global long *indices, const int4 in,
                           const int4 to, const int4 kernel_size, const int4 stride, const int4 dilation,
                           const int4 pad, const int4 step, const uint n) {
  const uint i = get_global_id(0);
  if (i >= n) {
    return;
  }
  PLACE(i, to)
  const size_t first = (size_t)plane * in.x * in.y * in.z;
  x += first;
  const int row_step = dilation.y * in.x;
  const int layer_step = dilation.z * in.y * in.x;
  value most = NONE;
  int where = -1;
  int layer = (start_z * in.y + start_y) * in.x;
  for (int z = start_z, k = 0; k < kernel_size.z; ++k, z += dilation.z, layer += layer_step) {
    if (!INSIDE(z, in.z)) {
      continue;
    }
    int row = layer;
    for (int y = start_y, j = 0; j < kernel_size.y; ++j, y += dilation.y, row += row_step) {
      if (!INSIDE(y, in.y)) {
        continue;
      }
      for (int w = start_x, l = 0; l < kernel_size.x; ++l, w += dilation.x) {
        if (!INSIDE(w, in.x)) {
          continue;
        }
        const value v = GET(x + (row + w));
        if (where < 0 || (most == most && EXCEEDS(v, most))) {
          most = v;
          where = row + w;
        }
      }
    }
  }
  PUT(where < 0 ? LOWEST : most, out + i);
  const int z = max(where, 0) / (in.x * in.y), y = max(where, 0) / in.x - z * in.y;
  const int w = max(where, 0) - (z * in.y + y) * in.x;
  indices[i] = where < 0 ? -1 : (long)first + (w * step.x + y * step.y + z * step.z);
}
#endif
