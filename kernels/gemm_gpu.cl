// C = act(alpha * A @ B + bias + residual) for wavefronts: a work-group of WG_X x WG_Y items computes a TILE_M x TILE_N
// block of C from tiles in LDS.
//
// Shapes: A (M,K) or, transposed, (K,M); B (K,N) or (N,K); C and residual (M,N); bias (N); row-major, `stored` elements
// (fp32 or fp16), no padding between rows; any M, N, K. A batch of them lies in get_group_id(2): `offsets` holds, for
// each product, where its A and its B start, so that one operand may serve many.
// NDRange: (ceil(N/TILE_N)*WG_X, ceil(M/TILE_M)*WG_Y, products). Traffic from memory: A once per TILE_N columns, B once
// per TILE_M rows, C written once. While a tile is multiplied, the next one is already on its way into registers.
//
// Shaped for gfx803: on a register tile of r x c, LDS can feed at most r*c / (2(r+c)) of the multiply-adds, so 4x4 is
// the least that does not wait for it; with at most 64 VGPRs four wavefronts fit on a SIMD, which hide memory latency.

#include "mac.h"
#include "storage.h"
// Last: includes are expanded once, and it holds some of them under a condition.
#include "epilogue.h"

// Work-items across and down; unit: work-items. 16 x 16 is four wavefronts, one for each SIMD of a compute unit.
#ifndef WG_X
#define WG_X 16
#endif
#ifndef WG_Y
#define WG_Y 16
#endif
// Rows and columns of C per work-item; unit: elements, multiples of 4 for float4 reads of LDS.
#ifndef PER_ITEM_M
#define PER_ITEM_M 4
#endif
#ifndef PER_ITEM_N
#define PER_ITEM_N 4
#endif
// Depth of the tiles; unit: elements of K, a multiple of 4 for float4 loads along K. LDS per unit of depth:
// (TILE_M + 4 + TILE_N + 4) * 4 bytes. 16 gives each item one float4 of each tile.
#ifndef TILE_K
#define TILE_K 16
#endif
// 1: A is (K,M), B is (N,K). They are macros since the loads that neighbours share differ: along K or across it.
#ifndef TRANSPOSE_A
#define TRANSPOSE_A 0
#endif
#ifndef TRANSPOSE_B
#define TRANSPOSE_B 0
#endif

#define TILE_M (WG_Y * PER_ITEM_M)
#define TILE_N (WG_X * PER_ITEM_N)
#define ITEMS (WG_X * WG_Y)
// float4 that each item moves per tile; the launcher admits only whole numbers.
#define LOADS_A (TILE_M * TILE_K / 4 / ITEMS)
#define LOADS_B (TILE_K * TILE_N / 4 / ITEMS)
// A tile is [k][m] or [k][n]. One float4 more per k spreads the scattered writes of an operand whose rows run along K.
#define PITCH_A (TILE_M / 4 + !TRANSPOSE_A)
#define PITCH_B (TILE_N / 4 + TRANSPOSE_B)

#define INLINE static inline __attribute__((always_inline))

// Four elements from p on; zeros where fewer are left, or where the row itself is outside.
INLINE float4 load_inside(const __global stored *p, const int left, const int row_inside) {
  float4 v = (float4)(0.0f);
  if (row_inside && left >= 4) {
    v = READ4(p);
  } else if (row_inside) {
    v.x = left > 0 ? READ(p) : 0.0f;
    v.y = left > 1 ? READ(p + 1) : 0.0f;
    v.z = left > 2 ? READ(p + 2) : 0.0f;
  }
  return v;
}

// Where an item's l-th float4 lies in a tile of `width` rows or columns of C: its place across, and along K. An operand
// whose rows run along K (`along`) is read so that neighbours share them, and so is one whose rows run across it.
#define AT(l) ((l) * ITEMS + item) // unsigned, so that division is a shift
#define ACROSS(along, l, width) (int)((along) ? AT(l) / (TILE_K / 4) : AT(l) % ((width) / 4) * 4)
#define DEPTH(along, l, width) (int)((along) ? AT(l) % (TILE_K / 4) * 4 : AT(l) / ((width) / 4))

// Points an item at its float4s of the first tile: `place` is where the tile starts across, `length` is M or N.
INLINE void aim(const __global stored **from, const int loads, const int along, const __global stored *x,
                const int width, const int place, const int length, const int K, const uint item) {
#pragma unroll
  for (int l = 0; l < loads; ++l) {
    const size_t across = place + ACROSS(along, l, width), depth = DEPTH(along, l, width);
    from[l] = x + (along ? across * K + depth : depth * length + across);
  }
}

// This item's share of the tile that starts at k, zeros beyond the edges; then on to the next tile, `step` further.
INLINE void fetch(float4 *part, const __global stored **from, const int loads, const int along, const int width,
                  const int place, const int length, const int k, const int K, const size_t step, const uint item) {
#pragma unroll
  for (int l = 0; l < loads; ++l) {
    const int across = length - place - ACROSS(along, l, width), depth = K - k - DEPTH(along, l, width);
    part[l] = along ? load_inside(from[l], depth, across > 0) : load_inside(from[l], across, depth > 0);
    from[l] += step;
  }
}

// Registers -> LDS. What was read along K is turned on the way, so that the multiplication reads four rows at once.
INLINE void keep(const float4 *part, const int loads, const int along, const int width, __local float4 *tile,
                 const int pitch, const uint item) {
  __local float *scalars = (__local float *)tile;
#pragma unroll
  for (int l = 0; l < loads; ++l) {
    const int across = ACROSS(along, l, width), depth = DEPTH(along, l, width);
    if (along) {
      scalars[(depth + 0) * pitch * 4 + across] = part[l].x;
      scalars[(depth + 1) * pitch * 4 + across] = part[l].y;
      scalars[(depth + 2) * pitch * 4 + across] = part[l].z;
      scalars[(depth + 3) * pitch * 4 + across] = part[l].w;
    } else {
      tile[depth * pitch + across / 4] = part[l];
    }
  }
}

// Four values -> row[0 ..), as far as they are inside.
INLINE void store_inside(__global stored *row, const int left, const float4 v) {
  if (left >= 4) {
    WRITE4(v, row);
    return;
  }
  if (left > 0) {
    WRITE(v.x, row);
  }
  if (left > 1) {
    WRITE(v.y, row + 1);
  }
  if (left > 2) {
    WRITE(v.z, row + 2);
  }
}

__kernel __attribute__((reqd_work_group_size(WG_X, WG_Y, 1))) void
gemm_gpu(const int M, const int N, const int K, const __global long *restrict offsets,
         const __global stored *restrict a, const __global stored *restrict b, const float alpha, const int has_bias,
         const __global stored *restrict bias, const int has_residual, const __global stored *restrict residual,
         const float activation_alpha, const float activation_beta, __global stored *restrict c) {
  // Arrays of float4, so that 16-byte alignment is proven and one ds_read_b128 fetches four values.
  __local float4 tile_a[TILE_K * PITCH_A]; // [k][m]
  __local float4 tile_b[TILE_K * PITCH_B]; // [k][n]
  const int x = get_local_id(0);
  const int y = get_local_id(1);
  const uint item = y * WG_X + x;
  const int row0 = get_group_id(1) * TILE_M;
  const int column0 = get_group_id(0) * TILE_N;
  const size_t product = get_group_id(2);
  float4 sums[PER_ITEM_M][PER_ITEM_N / 4];
#pragma unroll
  for (int i = 0; i < PER_ITEM_M; ++i) {
#pragma unroll
    for (int j = 0; j < PER_ITEM_N / 4; ++j) {
      sums[i][j] = (float4)(0.0f);
    }
  }
  float4 part_a[LOADS_A];
  float4 part_b[LOADS_B];
  const __global stored *from_a[LOADS_A];
  const __global stored *from_b[LOADS_B];
  const size_t step_a = TRANSPOSE_A ? (size_t)TILE_K * M : TILE_K;
  const size_t step_b = TRANSPOSE_B ? TILE_K : (size_t)TILE_K * N;
  aim(from_a, LOADS_A, !TRANSPOSE_A, a + offsets[2 * product], TILE_M, row0, M, K, item);
  aim(from_b, LOADS_B, TRANSPOSE_B, b + offsets[2 * product + 1], TILE_N, column0, N, K, item);
  fetch(part_a, from_a, LOADS_A, !TRANSPOSE_A, TILE_M, row0, M, 0, K, step_a, item);
  fetch(part_b, from_b, LOADS_B, TRANSPOSE_B, TILE_N, column0, N, 0, K, step_b, item);
  for (int k0 = 0; k0 < K; k0 += TILE_K) {
    barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the tiles of the last turn
    keep(part_a, LOADS_A, !TRANSPOSE_A, TILE_M, tile_a, PITCH_A, item);
    keep(part_b, LOADS_B, TRANSPOSE_B, TILE_N, tile_b, PITCH_B, item);
    barrier(CLK_LOCAL_MEM_FENCE); // the tiles are complete
    // Past the last tile this fetches zeros, which nobody uses.
    fetch(part_a, from_a, LOADS_A, !TRANSPOSE_A, TILE_M, row0, M, k0 + TILE_K, K, step_a, item);
    fetch(part_b, from_b, LOADS_B, TRANSPOSE_B, TILE_N, column0, N, k0 + TILE_K, K, step_b, item);
#pragma unroll
    for (int k = 0; k < TILE_K; ++k) {
#pragma unroll
      for (int j = 0; j < PER_ITEM_N / 4; ++j) {
        const float4 of_b = tile_b[k * PITCH_B + j * WG_X + x];
#pragma unroll
        for (int i = 0; i < PER_ITEM_M; i += 4) {
          const float4 of_a = tile_a[k * PITCH_A + i / 4 * WG_Y + y];
          sums[i + 0][j] = MAC((float4)(of_a.x), of_b, sums[i + 0][j]);
          sums[i + 1][j] = MAC((float4)(of_a.y), of_b, sums[i + 1][j]);
          sums[i + 2][j] = MAC((float4)(of_a.z), of_b, sums[i + 2][j]);
          sums[i + 3][j] = MAC((float4)(of_a.w), of_b, sums[i + 3][j]);
        }
      }
    }
  }
  // Item (x, y) owns every WG_X-th group of four columns and every WG_Y-th group of four rows.
#pragma unroll
  for (int j = 0; j < PER_ITEM_N / 4; ++j) {
    const int column = column0 + (j * WG_X + x) * 4;
    const int left = N - column;
    const float4 of_bias = load_inside(bias + column, left, has_bias);
#pragma unroll
    for (int i = 0; i < PER_ITEM_M; ++i) {
      const int row = row0 + (i / 4 * WG_Y + y) * 4 + i % 4;
      if (row < M) {
        const size_t at = (product * M + row) * N + column;
        float4 v = MAC(sums[i][j], (float4)(alpha), of_bias);
        v += load_inside(residual + at, left, has_residual);
        store_inside(c + at, left, ACTIVATE4(v, activation_alpha, activation_beta));
      }
    }
  }
}
