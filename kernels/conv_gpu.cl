// Convolution for wavefronts: a matrix product whose second operand is gathered from x while it is read.
//
// A work-group of WG_X x WG_Y items computes TILE_M filters by TILE_N pixels of one image and group from tiles in LDS,
// stepping through the depth, C/groups * positions of the kernel, by TILE_K. Nothing is multiplied or divided to find
// an operand: `sources` has for each pixel, and `taps` for each step of depth, a place in x (x of an int4) and what it
// adds to the depth, height and width at which the operand lies (y, z, w of an int4), which decide whether it is inside.
//
// Shapes: x (images, C, D, H, W), w (K, depth), bias (K), residual and out as `targets` and `step` say; fp32 or fp16
// with sums in fp32. taps has ceil(depth/TILE_K)+1 times TILE_K entries; those past the depth lie outside x.
// NDRange: (ceil(pixels/TILE_N)*WG_X, ceil(filters/TILE_M)*WG_Y, images*groups). Traffic: x's windows once per TILE_M
// filters, w once per TILE_N pixels, out once. While a tile is multiplied, the next is on its way into registers.
//
// Shaped for gfx803: 4 x 4 sums per item is the least that does not wait for LDS, 64 VGPRs let four wavefronts hide
// memory latency.

#include "mac.h"
#include "storage.h"

#include "epilogue.h"

// Work-items across (pixels) and down (filters); unit: work-items. 16 x 16 is a wavefront for each SIMD of a unit.
#ifndef WG_X
#define WG_X 16
#endif
#ifndef WG_Y
#define WG_Y 16
#endif
// Depth of the tiles; unit: steps, a multiple of 4 for reads of w by fours.
#ifndef TILE_K
#define TILE_K 16
#endif

// Sums per item: fixed, four filters by four pixels.
#define TILE_M (WG_Y * 4)
#define TILE_N (WG_X * 4)
#define ITEMS (WG_X * WG_Y)
// What each item moves per tile: groups of four of w, single values of x. The launcher admits only whole numbers.
#define LOADS_W (TILE_M * TILE_K / 4 / ITEMS)
#define LOADS_X (TILE_N * TILE_K / ITEMS)
// One float4 more per row of the transposed tile of w spreads its scattered writes over more LDS banks.
#define PITCH_W (TILE_M / 4 + 1)
#define PITCH_X (TILE_N / 4)

// Bits of `flags`: what there is; and the pixels of an image of out adjoin.
#define WITH_BIAS 1
#define WITH_RESIDUAL 2
#define ADJOINING 4

// Four steps of a filter's row from `at` on, zeros past `end`, which is 0 where there is no such filter.
static inline float4 load_inside(const __global stored *row, const int at, const int end) {
  if (at + 4 <= end) {
    return READ4(row + at);
  }
  const float v0 = at + 0 < end ? READ(row + at + 0) : 0.0f;
  const float v1 = at + 1 < end ? READ(row + at + 1) : 0.0f;
  const float v2 = at + 2 < end ? READ(row + at + 2) : 0.0f;
  return (float4)(v0, v1, v2, 0.0f);
}

// This item's share of the tiles at depth k. It reads its pixel's operands of every (ITEMS / TILE_N)-th step.
static inline void fetch(float4 *part_w, float *part_x, const __global stored *w, const __global stored *x,
                         const __global int4 *taps, const int4 source, const int4 size, const int k, const int depth,
                         const int filters, const uint item) {
#pragma unroll
  for (int l = 0; l < LOADS_W; ++l) {
    const uint at = l * ITEMS + item;
    const uint filter = at / (TILE_K / 4);
    part_w[l] = load_inside(w + (size_t)filter * depth, k + at % (TILE_K / 4) * 4, filter < (uint)filters ? depth : 0);
  }
#pragma unroll
  for (int l = 0; l < LOADS_X; ++l) {
    const int4 at = source + taps[k + l * (ITEMS / TILE_N) + item / TILE_N];
    const int inside = (uint)at.y < (uint)size.x & (uint)at.z < (uint)size.y & (uint)at.w < (uint)size.z;
    part_x[l] = inside ? READ(x + at.x) : 0.0f;
  }
}

// Registers -> LDS; w is transposed on the way, so that the multiplication reads four filters at once.
static inline void keep(const float4 *part_w, const float *part_x, __local float4 *tile_w, __local float4 *tile_x,
                        const uint item) {
  __local float *scalars_w = (__local float *)tile_w;
  __local float *scalars_x = (__local float *)tile_x;
#pragma unroll
  for (int l = 0; l < LOADS_W; ++l) {
    const uint at = l * ITEMS + item;
    const uint filter = at / (TILE_K / 4);
    const uint k = at % (TILE_K / 4) * 4;
    scalars_w[(k + 0) * PITCH_W * 4 + filter] = part_w[l].x;
    scalars_w[(k + 1) * PITCH_W * 4 + filter] = part_w[l].y;
    scalars_w[(k + 2) * PITCH_W * 4 + filter] = part_w[l].z;
    scalars_w[(k + 3) * PITCH_W * 4 + filter] = part_w[l].w;
  }
#pragma unroll
  for (int l = 0; l < LOADS_X; ++l) {
    scalars_x[l * ITEMS + item] = part_x[l];
  }
}

// One value of out at `place`.
static inline void store(const float v, const size_t place, const int flags, const float alpha, const float beta,
                         const __global stored *residual, __global stored *out) {
  const float sum = flags & WITH_RESIDUAL ? v + READ(residual + place) : v;
  WRITE(ACTIVATE(sum, alpha, beta), out + place);
}

// n_pixels: of an image. x_image, out_image: elements of an image. step: from one filter to the next in out.
__kernel __attribute__((reqd_work_group_size(WG_X, WG_Y, 1))) void
conv_gpu(const int n_pixels, const int depth, const int filters_each, const int n_groups, const int x_image,
         const int x_group, const int out_image, const int step, const int4 size, const int flags, const float alpha,
         const float beta, const __global int4 *restrict taps, const __global int4 *restrict sources,
         const __global int *restrict targets, const __global stored *restrict x, const __global stored *restrict w,
         const __global stored *restrict bias, const __global stored *restrict residual, __global stored *restrict out) {
  // Arrays of float4, so that 16-byte alignment is proven and one ds_read_b128 fetches four values.
  __local float4 tile_w[TILE_K * PITCH_W]; // [k][filter]
  __local float4 tile_x[TILE_K * PITCH_X]; // [k][pixel]
  const int column = get_local_id(0);
  const int row = get_local_id(1);
  const uint item = row * WG_X + column;
  const int image = get_group_id(2) / n_groups;
  const int group = get_group_id(2) - image * n_groups;
  const int filter0 = get_group_id(1) * TILE_M;
  const int pixel0 = get_group_id(0) * TILE_N;
  const int filters = filters_each - filter0;
  x += (size_t)image * x_image + (size_t)group * x_group;
  w += (size_t)(group * filters_each + filter0) * depth;
  const int4 source = sources[min(pixel0 + (int)(item % TILE_N), n_pixels - 1)];
  float4 sum0 = (float4)(0.0f), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  float4 part_w[LOADS_W];
  float part_x[LOADS_X];
  fetch(part_w, part_x, w, x, taps, source, size, 0, depth, filters, item);
  for (int k0 = 0; k0 < depth; k0 += TILE_K) {
    barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the tiles of the last turn
    keep(part_w, part_x, tile_w, tile_x, item);
    barrier(CLK_LOCAL_MEM_FENCE); // the tiles are complete
    // Past the last tile this fetches zeros, which nobody uses.
    fetch(part_w, part_x, w, x, taps, source, size, k0 + TILE_K, depth, filters, item);
#pragma unroll
    for (int k = 0; k < TILE_K; ++k) {
      const float4 from_w = tile_w[k * PITCH_W + row];
      const float4 from_x = tile_x[k * PITCH_X + column];
      sum0 = MAC((float4)(from_w.x), from_x, sum0);
      sum1 = MAC((float4)(from_w.y), from_x, sum1);
      sum2 = MAC((float4)(from_w.z), from_x, sum2);
      sum3 = MAC((float4)(from_w.w), from_x, sum3);
    }
  }
  const int pixel = pixel0 + column * 4;
  const size_t base = (size_t)image * out_image;
  if (pixel >= n_pixels) {
    return;
  }
  // As a number: of chained tests LLVM makes what Oclgrind cannot follow (freeze).
  const int fours_end = flags & ADJOINING ? n_pixels : 0;
#define STORE_FILTER(i)                                                                                                \
  if (row * 4 + i < filters) {                                                                                         \
    const int filter = group * filters_each + filter0 + row * 4 + i;                                                   \
    const size_t place = base + (size_t)filter * step;                                                                 \
    float4 v = sum##i + (float4)(flags & WITH_BIAS ? READ(bias + filter) : 0.0f);                                      \
    if (pixel + 4 <= fours_end) {                                                                                      \
      if (flags & WITH_RESIDUAL) {                                                                                     \
        v += READ4(residual + place + pixel);                                                                          \
      }                                                                                                                \
      WRITE4(ACTIVATE4(v, alpha, beta), out + place + pixel);                                                          \
    } else {                                                                                                           \
      store(v.x, place + targets[pixel], flags, alpha, beta, residual, out);                                           \
      if (pixel + 1 < n_pixels) {                                                                                      \
        store(v.y, place + targets[pixel + 1], flags, alpha, beta, residual, out);                                     \
      }                                                                                                                \
      if (pixel + 2 < n_pixels) {                                                                                      \
        store(v.z, place + targets[pixel + 2], flags, alpha, beta, residual, out);                                     \
      }                                                                                                                \
      if (pixel + 3 < n_pixels) {                                                                                      \
        store(v.w, place + targets[pixel + 3], flags, alpha, beta, residual, out);                                     \
      }                                                                                                                \
    }                                                                                                                  \
  }
  STORE_FILTER(0)
  STORE_FILTER(1)
  STORE_FILTER(2)
  STORE_FILTER(3)
}
