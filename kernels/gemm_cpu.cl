// C = A @ B for processors with vector registers and caches: one work-item is one core's worth of loop.
//
// Shapes: A (M,K), B (K,N), C (M,N), row-major, fp32, no padding between rows. Two kernels, launched in this order:
//   gemm_cpu_pack_b   B -> panels (ceil(N/NR), K, NR), zeros right of column N. Traffic: 1 read + 1 write of K*N.
//   gemm_cpu          panels and A -> C. Traffic from memory: A once per TILE_N columns, panels once per TILE_M rows,
//                     C written once, and read and written again for each further TILE_K.
// Both run in work-groups of one: on PoCL a group's items share one core, so a wider group adds only loop overhead.
//
// Structure (the field's five loops, Goto and van de Geijn 2008, doi 10.1145/1356052.1356053): the work-item owns
// a TILE_M x TILE_N block of C and steps through K by TILE_K; a panel slice (TILE_K x NR) stays in L1 while strips of
// PER_ITEM_M rows pass over it; the micro-kernel keeps PER_ITEM_M x NR sums in registers.

#include "micro_tile.h"

// Rows of C per micro-kernel; unit: rows. 6 x 16 sums are twelve 8-wide registers, which with two of B and one of A
// fill 15 of the 16 that AVX2 has. 4 suits very few rows.
#ifndef PER_ITEM_M
#define PER_ITEM_M 6
#endif
// Rows of C per work-item; unit: rows, a multiple of PER_ITEM_M. Sets how often the panels are read again, and with
// USE_LDS the size of the packed block, TILE_M * TILE_K floats, which should fill about half of L2.
#ifndef TILE_M
#define TILE_M 96
#endif
// Columns of C per work-item; unit: columns, a multiple of NR. Sets how often A is read again.
#ifndef TILE_N
#define TILE_N 512
#endif
// Depth of one pass; unit: elements of K, a multiple of UNROLL_K. A panel slice takes TILE_K * 64 bytes of L1.
#ifndef TILE_K
#define TILE_K 512
#endif
// Steps of K per turn of the inner loop; unit: steps. Four hide the loop's own instructions behind multiply-adds.
#ifndef UNROLL_K
#define UNROLL_K 4
#endif
// 1: copy each block of A to __local, strip by strip, before use; 0: read A in place. Copying pays where rows lie a
// large power of two apart, since they then compete for the same cache sets.
#ifndef USE_LDS
#define USE_LDS 0
#endif

#if USE_LDS
typedef const __local float *a_pointer;
#else
typedef const __global float *a_pointer;
#endif

// What micro_tile does for each row i. EXPECT: the sums of an earlier pass have left the caches meanwhile.
#define EXPECT(i)                                                                                                      \
  PREFETCH(c + i * n, 3);                                                                                              \
  PREFETCH(c + i * n + columns - 1, 3);
#define A_OF(i) a[i * row_stride + k * k_stride]
#define STORE(i) store_row(left##i, right##i, accumulate, c + i * n);

INLINE void store_row(float8 left, float8 right, const int accumulate, __global float *row) {
  if (accumulate) {
    left += LOAD8(row);
    right += LOAD8(row + 8);
  }
  STORE8(left, row);
  STORE8(right, row + 8);
}

// The right edge of C, where fewer than NR columns are left.
INLINE void store_narrow(const int rows, const int columns, const int accumulate, const float *tile, __global float *c,
                         const size_t n) {
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      c[i * n + j] = accumulate ? c[i * n + j] + tile[i * NR + j] : tile[i * NR + j];
    }
  }
}

// micro_tile_<rows>: C[0..rows)[0..columns) = or += A strip (rows, depth) @ panel slice (depth, NR).
#define MICRO_TILE(rows)                                                                                               \
  INLINE void micro_tile_##rows(const int depth, const int columns, const int accumulate, a_pointer a,                 \
                                const size_t row_stride, const size_t k_stride, const __global float8 *panel,          \
                                __global float *c, const size_t n, float *tile) {                                      \
    if (accumulate) {                                                                                                  \
      ROWS_##rows(EXPECT)                                                                                              \
    }                                                                                                                  \
    ROWS_##rows(ZERO_SUMS) _Pragma("unroll UNROLL_K") for (int k = 0; k < depth; ++k) {                                \
      const float8 b_left = panel[2 * k];                                                                              \
      const float8 b_right = panel[2 * k + 1];                                                                         \
      ROWS_##rows(ADD_PRODUCTS)                                                                                        \
    }                                                                                                                  \
    if (columns == NR) {                                                                                               \
      ROWS_##rows(STORE)                                                                                               \
    } else {                                                                                                           \
      ROWS_##rows(SPILL_SUMS)                                                                                          \
    }                                                                                                                  \
  }
MICRO_TILE(1)
MICRO_TILE(2)
MICRO_TILE(3)
MICRO_TILE(4)
#if PER_ITEM_M == 6
MICRO_TILE(5)
MICRO_TILE(6)
#endif

// Panels that a work-item packs at once; fixed: four lines of cache in a row, which the prefetcher likes.
#define PACK 4
// Rows ahead that it asks for: each is on another page, where no hardware prefetcher follows.
#define AHEAD 8

// B (K,N) -> panels (ceil(N/NR), K, NR). NDRange: (ceil(N / (PACK*NR)), ceil(K/TILE_K)).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_cpu_pack_b(const int N, const int K, const __global float *restrict b, __global float *restrict panels) {
  const int column0 = get_group_id(0) * (PACK * NR);
  const int first = get_group_id(1) * TILE_K;
  const int last = min(first + TILE_K, K);
  const size_t panel = (size_t)K * NR;
  const __global float *from = b + (size_t)first * N + column0;
  __global float *to = panels + column0 / NR * panel + (size_t)first * NR;
  const int columns = min(PACK * NR, N - column0);
  for (int k = first; k < last; ++k, from += N, to += NR) {
    if (columns == PACK * NR) {
      PREFETCH(from + AHEAD * (size_t)N, 3);
      PREFETCH(from + AHEAD * (size_t)N + NR, 3);
      PREFETCH(from + AHEAD * (size_t)N + 2 * NR, 3);
      PREFETCH(from + AHEAD * (size_t)N + 3 * NR, 3);
      const float16 p0 = LOAD16(from), p1 = LOAD16(from + NR), p2 = LOAD16(from + 2 * NR), p3 = LOAD16(from + 3 * NR);
      STORE16(p0, to);
      STORE16(p1, to + panel);
      STORE16(p2, to + 2 * panel);
      STORE16(p3, to + 3 * panel);
    } else {
      for (int j = 0; j < (columns + NR - 1) / NR * NR; ++j) {
        to[j / NR * panel + j % NR] = j < columns ? from[j] : 0.0f;
      }
    }
  }
}

#if USE_LDS
// Four columns of six rows of A -> four columns of a strip.
INLINE void interleave_6(const __global float *a, const size_t K, __local float *strip) {
  const float4 r0 = LOAD4(a), r1 = LOAD4(a + K), r2 = LOAD4(a + 2 * K);
  const float4 r3 = LOAD4(a + 3 * K), r4 = LOAD4(a + 4 * K), r5 = LOAD4(a + 5 * K);
  __local float8_u *to = (__local float8_u *)strip;
  to[0] = (float8)(r0.x, r1.x, r2.x, r3.x, r4.x, r5.x, r0.y, r1.y);
  to[1] = (float8)(r2.y, r3.y, r4.y, r5.y, r0.z, r1.z, r2.z, r3.z);
  to[2] = (float8)(r4.z, r5.z, r0.w, r1.w, r2.w, r3.w, r4.w, r5.w);
}

// Rows [0,rows) x depth of A, row stride K -> block (rows/PER_ITEM_M, depth, PER_ITEM_M); a last strip is narrower.
INLINE void pack_a(const int rows, const int depth, const __global float *a, const size_t K, __local float *block) {
  for (int r = 0; r < rows; r += PER_ITEM_M) {
    const int width = min(PER_ITEM_M, rows - r);
    const __global float *from = a + r * K;
    __local float *strip = block + r * depth;
    int k = 0;
    if (width == 6) {
      for (; k + 4 <= depth; k += 4) {
        interleave_6(from + k, K, strip + k * 6);
      }
    }
    for (; k < depth; ++k) {
      for (int i = 0; i < width; ++i) {
        strip[k * width + i] = from[i * K + k];
      }
    }
  }
}
#endif

#define STRIP(rows)                                                                                                    \
  case rows:                                                                                                           \
    micro_tile_##rows(depth, columns, k > 0, strip, row_stride, USE_LDS ? rows : 1, panel, to, N, tile);               \
    break;

// NDRange: (ceil(M/TILE_M), ceil(N/TILE_N)).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_cpu(const int M, const int N, const int K,
                                                                      const __global float *restrict a,
                                                                      const __global float *restrict panels,
                                                                      __global float *restrict c) {
#if USE_LDS
  __local float block[TILE_M * TILE_K];
#endif
  const int row0 = get_group_id(0) * TILE_M;
  const int column0 = get_group_id(1) * TILE_N;
  const int rows = min(TILE_M, M - row0);
  const int column_end = min(column0 + TILE_N, N);
  float tile[PER_ITEM_M * NR];
  // Equal passes, so that the last one is not a sliver of K.
  const int passes = max((K + TILE_K - 1) / TILE_K, 1);
  const int pass_depth = ((K + passes - 1) / passes + UNROLL_K - 1) / UNROLL_K * UNROLL_K;
  int k = 0;
  do { // at least once: with K = 0 the result is zeros
    const int depth = min(pass_depth, K - k);
    const __global float *a_block = a + (size_t)row0 * K + k;
#if USE_LDS
    pack_a(rows, depth, a_block, K, block);
#endif
    for (int column = column0; column < column_end; column += NR) {
      const int columns = min(NR, N - column);
      const __global float8 *panel = (const __global float8 *)(panels + ((size_t)(column / NR) * K + k) * NR);
#if USE_LDS
      // Each strip asks for its share of the next panel slice. Without copied A there are too few strips to share it.
      const __global float *ahead = panels + ((size_t)(column / NR + 1) * K + k) * NR;
      const int share = column + NR < column_end ? (depth * PER_ITEM_M + rows - 1) / rows : 0;
#endif
      for (int r = 0; r < rows; r += PER_ITEM_M) {
#if USE_LDS
#pragma unroll 1
        for (int line = 0; line < share; ++line, ahead += NR) {
          PREFETCH(ahead, 2);
        }
        const a_pointer strip = block + r * depth;
        const size_t row_stride = 1;
#else
        const a_pointer strip = a_block + (size_t)r * K;
        const size_t row_stride = K;
#endif
        __global float *to = c + (size_t)(row0 + r) * N + column;
        switch (min(PER_ITEM_M, rows - r)) {
          STRIP(1)
          STRIP(2)
          STRIP(3)
          STRIP(4)
#if PER_ITEM_M == 6
          STRIP(5)
          STRIP(6)
#endif
        }
        if (columns < NR) {
          store_narrow(min(PER_ITEM_M, rows - r), columns, k > 0, tile, to, N);
        }
      }
    }
    k += depth;
  } while (k < K);
}
