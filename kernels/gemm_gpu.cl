// C = A @ B for wavefronts: a work-group of WG_X x WG_Y items computes a TILE_M x TILE_N block of C from tiles in LDS.
//
// Shapes: A (M,K), B (K,N), C (M,N), row-major, fp32, no padding between rows; any M, N, K.
// NDRange: (ceil(N/TILE_N)*WG_X, ceil(M/TILE_M)*WG_Y). Traffic from memory: A once per TILE_N columns, B once per
// TILE_M rows, C written once. While a tile is multiplied, the next one is already on its way into registers.
//
// Shaped for gfx803: on a register tile of r x c, LDS can feed at most r*c / (2(r+c)) of the multiply-adds, so 4x4 is
// the least that does not wait for it; with at most 64 VGPRs four wavefronts fit on a SIMD, which hide memory latency.

#include "mac.h"
#include "vec.h"

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
// Depth of the tiles; unit: elements of K, a multiple of 4 for float4 loads of A. LDS per unit of depth:
// (TILE_M + 4 + TILE_N) * 4 bytes. 16 gives each item one float4 of each tile.
#ifndef TILE_K
#define TILE_K 16
#endif

#define TILE_M (WG_Y * PER_ITEM_M)
#define TILE_N (WG_X * PER_ITEM_N)
#define ITEMS (WG_X * WG_Y)
// float4 that each item moves per tile; the launcher admits only whole numbers.
#define LOADS_A (TILE_M * TILE_K / 4 / ITEMS)
#define LOADS_B (TILE_K * TILE_N / 4 / ITEMS)
// One float4 more per column of the transposed A tile spreads its scattered writes over more LDS banks.
#define PITCH_A (TILE_M / 4 + 1)
#define PITCH_B (TILE_N / 4)

// Four floats from row[at ..), zeros from `end` on or where the row itself is outside.
static inline float4 load_inside(const __global float *row, const int at, const int end, const int row_inside) {
  if (row_inside && at + 4 <= end) {
    return LOAD4(row + at);
  }
  float4 v = (float4)(0.0f);
  if (row_inside) {
    v.x = at + 0 < end ? row[at + 0] : 0.0f;
    v.y = at + 1 < end ? row[at + 1] : 0.0f;
    v.z = at + 2 < end ? row[at + 2] : 0.0f;
  }
  return v;
}

// This item's share of the tiles that start at k: A (TILE_M, TILE_K) and B (TILE_K, TILE_N), zeros beyond the edges.
static inline void fetch(float4 *part_a, float4 *part_b, const __global float *a, const __global float *b,
                         const int row0, const int column0, const int k, const int M, const int N, const int K,
                         const int item) {
#pragma unroll
  for (int l = 0; l < LOADS_A; ++l) {
    const int at = l * ITEMS + item;
    const int row = row0 + at / (TILE_K / 4);
    part_a[l] = load_inside(a + (size_t)row * K, k + at % (TILE_K / 4) * 4, K, row < M);
  }
#pragma unroll
  for (int l = 0; l < LOADS_B; ++l) {
    const int at = l * ITEMS + item;
    const int row = k + at / PITCH_B;
    part_b[l] = load_inside(b + (size_t)row * N, column0 + at % PITCH_B * 4, N, row < K);
  }
}

// Registers -> LDS; A is transposed on the way, so that the multiplication reads four rows at once.
static inline void keep(const float4 *part_a, const float4 *part_b, __local float4 *tile_a, __local float4 *tile_b,
                        const int item) {
  __local float *scalars_a = (__local float *)tile_a;
#pragma unroll
  for (int l = 0; l < LOADS_A; ++l) {
    const int at = l * ITEMS + item;
    const int m = at / (TILE_K / 4);
    const int k = at % (TILE_K / 4) * 4;
    scalars_a[(k + 0) * PITCH_A * 4 + m] = part_a[l].x;
    scalars_a[(k + 1) * PITCH_A * 4 + m] = part_a[l].y;
    scalars_a[(k + 2) * PITCH_A * 4 + m] = part_a[l].z;
    scalars_a[(k + 3) * PITCH_A * 4 + m] = part_a[l].w;
  }
#pragma unroll
  for (int l = 0; l < LOADS_B; ++l) {
    tile_b[l * ITEMS + item] = part_b[l];
  }
}

// Four floats -> row[at ..), as far as they lie before `end`.
static inline void store_inside(__global float *row, const int at, const int end, const float4 v) {
  if (at + 4 <= end) {
    STORE4(v, row + at);
    return;
  }
  if (at + 0 < end) {
    row[at + 0] = v.x;
  }
  if (at + 1 < end) {
    row[at + 1] = v.y;
  }
  if (at + 2 < end) {
    row[at + 2] = v.z;
  }
}

__kernel __attribute__((reqd_work_group_size(WG_X, WG_Y, 1))) void gemm_gpu(const int M, const int N, const int K,
                                                                            const __global float *restrict a,
                                                                            const __global float *restrict b,
                                                                            __global float *restrict c) {
  // Arrays of float4, so that 16-byte alignment is proven and one ds_read_b128 fetches four values.
  __local float4 tile_a[TILE_K * PITCH_A]; // [k][m]
  __local float4 tile_b[TILE_K * PITCH_B]; // [k][n]
  const int x = get_local_id(0);
  const int y = get_local_id(1);
  const int item = y * WG_X + x;
  const int row0 = get_group_id(1) * TILE_M;
  const int column0 = get_group_id(0) * TILE_N;
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
  fetch(part_a, part_b, a, b, row0, column0, 0, M, N, K, item);
  for (int k0 = 0; k0 < K; k0 += TILE_K) {
    barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the tiles of the last turn
    keep(part_a, part_b, tile_a, tile_b, item);
    barrier(CLK_LOCAL_MEM_FENCE); // the tiles are complete
    // Past the last tile this fetches zeros, which nobody uses.
    fetch(part_a, part_b, a, b, row0, column0, k0 + TILE_K, M, N, K, item);
#pragma unroll
    for (int k = 0; k < TILE_K; ++k) {
#pragma unroll
      for (int j = 0; j < PER_ITEM_N / 4; ++j) {
        const float4 from_b = tile_b[k * PITCH_B + j * WG_X + x];
#pragma unroll
        for (int i = 0; i < PER_ITEM_M; i += 4) {
          const float4 from_a = tile_a[k * PITCH_A + i / 4 * WG_Y + y];
          sums[i + 0][j] = MAC((float4)(from_a.x), from_b, sums[i + 0][j]);
          sums[i + 1][j] = MAC((float4)(from_a.y), from_b, sums[i + 1][j]);
          sums[i + 2][j] = MAC((float4)(from_a.z), from_b, sums[i + 2][j]);
          sums[i + 3][j] = MAC((float4)(from_a.w), from_b, sums[i + 3][j]);
        }
      }
    }
  }
  // Item (x, y) owns every WG_X-th group of four columns and every WG_Y-th group of four rows.
#pragma unroll
  for (int i = 0; i < PER_ITEM_M; ++i) {
    const int row = row0 + (i / 4 * WG_Y + y) * 4 + i % 4;
    if (row < M) {
#pragma unroll
      for (int j = 0; j < PER_ITEM_N / 4; ++j) {
        store_inside(c + (size_t)row * N, column0 + (j * WG_X + x) * 4, N, sums[i][j]);
      }
    }
  }
}
