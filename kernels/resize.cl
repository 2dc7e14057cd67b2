// Resampling along up to three neighbouring axes: every element of out is a weighted sum of a window of x, or one
// element of x (nearest).
//
// Shapes: x (R, D, H, W), out (R, OD, OH, OW), row-major; axes that are not there, or stay as they are, have one tap.
// int4 arguments hold one value per axis: .x for W, .y for H, .z for D. The host makes the tables:
//   index (OD * taps.z, OH * taps.y, OW * taps.x, then OD + OH + OW)   offsets in a plane, in elements, of each tap along
//                  its axis; then for each place along an axis 1, or 0 where it lies outside of what was cropped
//   weight (OD * taps.z, OH * taps.y, OW * taps.x)                     the taps' weights
// An element that lies outside along any axis becomes `outside`. This is the plain file: one work-item per element of
// out; resize_cpu.cl is shaped for a processor's cores. Traffic: x once, since windows meet in a cache, and out once.

#include "mac.h"
#include "storage.h"
#include "walk.h"

// Where element i of out lies: its place along each axis, and its plane.
#define PLACE(i)                                                                                                       \
  const uint line = (i) / (uint)to.x, layer = line / (uint)to.y, plane = layer / (uint)to.z;                           \
  const int place_x = (i) - line * to.x, place_y = line - layer * to.y, place_z = layer - plane * to.z;

// Starts of each axis' part of the tables.
#define TABLES                                                                                                         \
  const int from_y = to.z * taps.z, from_x = from_y + to.y * taps.y, inside = from_x + to.x * taps.x;                  \
  const int at_z = place_z * taps.z, at_y = from_y + place_y * taps.y, at_x = from_x + place_x * taps.x;

#define IS_INSIDE                                                                                                      \
  (index[inside + place_z] && index[inside + to.z + place_y] && index[inside + to.z + to.y + place_x])

__kernel void resize_plain(const __global stored *x, __global stored *out, const __global int *index,
                           const __global float *weight, const int4 in, const int4 to, const int4 taps,
                           const int cropped, const float outside, const uint n) {
  const uint i = get_global_id(0);
  if (i >= n) {
    return;
  }
  PLACE(i)
  TABLES
  if (cropped && !IS_INSIDE) {
    WRITE(outside, out + i);
    return;
  }
  x += (size_t)plane * in.x * in.y * in.z;
  float sum = 0.0f;
  for (int z = at_z; z < at_z + taps.z; ++z) {
    float of_layer = 0.0f;
    for (int y = at_y; y < at_y + taps.y; ++y) {
      const __global stored *row = x + (index[z] + index[y]);
      float of_row = 0.0f;
      for (int w = at_x; w < at_x + taps.x; ++w) {
        of_row = MAC(weight[w], READ(row + index[w]), of_row);
      }
      of_layer = MAC(weight[y], of_row, of_layer);
    }
    sum = MAC(weight[z], of_layer, sum);
  }
  WRITE(sum, out + i);
}

// One tap along every axis, elements of any type.
__kernel void resize_plain_nearest(const __global element *x, __global element *out, const __global int *index,
                                   const int4 in, const int4 to, const int4 taps, const int cropped,
                                   const element outside, const uint n) {
  const uint i = get_global_id(0);
  if (i >= n) {
    return;
  }
  PLACE(i)
  TABLES
  x += (size_t)plane * in.x * in.y * in.z;
  out[i] = cropped && !IS_INSIDE ? outside : x[index[at_z] + index[at_y] + index[at_x]];
}
