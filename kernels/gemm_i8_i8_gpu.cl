// C = (A - zero points) @ (B - zero points) in int8 for wavefronts: tiles of 32-bit integers in LDS.
//
// Shapes and arguments as in gemm_i8_i8.cl. NDRange: (ceil(N/TILE_N)*WG_X, ceil(M/TILE_M)*WG_Y). Memory is read by
// single bytes, a quarter of fp32's; once in LDS a value takes 32 bits, because gfx803 multiplies and adds one pair of
// unpacked 24-bit integers per lane and instruction (v_mad_i32_i24), and unpacking bytes would cost more than that.

// Work-items across and down; unit: work-items. 16 x 16 is four wavefronts, one for each SIMD of a compute unit.
#ifndef WG_X
#define WG_X 16
#endif
#ifndef WG_Y
#define WG_Y 16
#endif
// Depth of the tiles; unit: elements of K, a multiple of 16 and of WG_Y. LDS per unit of depth: (TILE_M + 4 + TILE_N) *
// 4 bytes.
#ifndef TILE_K
#define TILE_K 16
#endif

#include "requantize.h"

// A register tile of 4 x 4 per item is the least that LDS can feed.
#define PER_ITEM 4
#define TILE_M (WG_Y * PER_ITEM)
#define TILE_N (WG_X * PER_ITEM)
#define ITEMS (WG_X * WG_Y)
// int4 per column of the transposed A tile: one more spreads its writes over the banks.
#define PITCH_A (TILE_M / 4 + 1)
#define PITCH_B (TILE_N / 4)
// Groups of four bytes that each item moves per tile.
#define LOADS_A (TILE_M * TILE_K / 4 / ITEMS)
#define LOADS_B (TILE_K * TILE_N / 4 / ITEMS)

__kernel __attribute__((reqd_work_group_size(WG_X, WG_Y, 1))) void
gemm_i8_i8_gpu(const int M, const int N, const int K, const __global uchar *restrict a,
               const __global uchar *restrict b, const int a_flip, const int b_flip,
               const __global uchar *restrict a_zero, const int a_step, const __global uchar *restrict b_zero,
               const int b_step, const __global int *restrict bias, const int bias_step,
               const __global float *restrict scale, const int scale_step, const __global float *restrict row_scale,
               const int row_step, const int zero_point, const int lowest, __global result *restrict c) {
  __local int4 tile_a[TILE_K * PITCH_A]; // [k][m]
  __local int4 tile_b[TILE_K * PITCH_B]; // [k][n]
  const int x = get_local_id(0);
  const int y = get_local_id(1);
  const uint item = mad24(y, WG_X, x); // unsigned, so that dividing it is a shift
  const int row0 = get_group_id(1) * TILE_M;
  const int column0 = get_group_id(0) * TILE_N;
  int4 sums0 = (int4)(0), sums1 = (int4)(0), sums2 = (int4)(0), sums3 = (int4)(0);
  // A's row and B's columns stay inside: what lies past M or N is computed from their neighbours and never stored.
  // Past K, A gives zeros, so that B may give anything.
  const int m = item / (TILE_K / 4), k_of_a = item % (TILE_K / 4) * 4;
  const int k_of_b = item / PITCH_B, n = column0 + item % PITCH_B * 4;
  __local int *to_a = (__local int *)tile_a + k_of_a * PITCH_A * 4 + m;
  const __global uchar *row_a[LOADS_A];
  int zero_a[LOADS_A];
#pragma unroll
  for (int l = 0; l < LOADS_A; ++l) {
    const int row = min(row0 + m + l * (ITEMS / (TILE_K / 4)), M - 1);
    row_a[l] = a + (size_t)row * K;
    zero_a[l] = BYTE_OF(a_zero[row * a_step], a_flip);
  }
  const int4 column = min((int4)(n, n + 1, n + 2, n + 3), (int4)(N - 1));
  const int4 zero_b = (int4)(BYTE_OF(b_zero[column.x * b_step], b_flip), BYTE_OF(b_zero[column.y * b_step], b_flip),
                             BYTE_OF(b_zero[column.z * b_step], b_flip), BYTE_OF(b_zero[column.w * b_step], b_flip));
  const __global uchar *row_b[LOADS_B];
#pragma unroll
  for (int l = 0; l < LOADS_B; ++l) {
    row_b[l] = b + (size_t)min(k_of_b + l * (ITEMS / PITCH_B), max(K - 1, 0)) * N;
  }
  const size_t step_b = (size_t)TILE_K * N;
  for (int k0 = 0; k0 < K; k0 += TILE_K) {
    barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the tiles of the last turn
#pragma unroll
    for (int l = 0; l < LOADS_A; ++l) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int k = k0 + k_of_a + j;
        const int v = BYTE_OF(row_a[l][min(k, K - 1)], a_flip) - zero_a[l];
        to_a[j * PITCH_A * 4 + l * (ITEMS / (TILE_K / 4))] = k < K ? v : 0;
      }
    }
#pragma unroll
    for (int l = 0; l < LOADS_B; ++l) {
      const __global uchar *row = row_b[l];
      const int4 v = (int4)(BYTE_OF(row[column.x], b_flip), BYTE_OF(row[column.y], b_flip),
                            BYTE_OF(row[column.z], b_flip), BYTE_OF(row[column.w], b_flip));
      tile_b[l * ITEMS + item] = v - zero_b;
      row_b[l] += k0 + k_of_b + l * (ITEMS / PITCH_B) + TILE_K < K ? step_b : 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE); // the tiles are complete
#pragma unroll
    for (int k = 0; k < TILE_K; ++k) {
      const int4 from_a = tile_a[k * PITCH_A + y];
      const int4 from_b = tile_b[k * PITCH_B + x];
      sums0 = mad24((int4)(from_a.x), from_b, sums0);
      sums1 = mad24((int4)(from_a.y), from_b, sums1);
      sums2 = mad24((int4)(from_a.z), from_b, sums2);
      sums3 = mad24((int4)(from_a.w), from_b, sums3);
    }
  }
  const int first = column0 + x * 4;
#define STORE_ROW(i)                                                                                                   \
  {                                                                                                                    \
    const int row = row0 + y * 4 + i;                                                                                  \
    STORE_ONE(i, 0, x)                                                                                                 \
    STORE_ONE(i, 1, y)                                                                                                 \
    STORE_ONE(i, 2, z)                                                                                                 \
    STORE_ONE(i, 3, w)                                                                                                 \
  }
#define STORE_ONE(i, j, lane)                                                                                          \
  if ((row < M) & (first + j < N)) {                                                                                   \
    const float factor = scale[(first + j) * scale_step] * row_scale[row * row_step];                                  \
    c[(size_t)row * N + first + j] =                                                                                   \
        requantize(sums##i.lane + bias[(first + j) * bias_step], factor, zero_point, lowest);                          \
  }
  STORE_ROW(0)
  STORE_ROW(1)
  STORE_ROW(2)
  STORE_ROW(3)
}
