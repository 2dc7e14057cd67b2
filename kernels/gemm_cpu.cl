// C = act(alpha * A @ B + bias + residual) for processors: one work-item is one core's worth of loop.
//
// Shapes: A (M,K) or, transposed, (K,M); B (K,N) or (N,K); C and residual (M,N); bias (N); row-major, `stored`
// elements (fp32 or fp16), no padding between rows. A batch of them lies in get_group_id(2): `offsets` holds, for each
// product, where its A and its B start, so that one operand may serve many.
//   gemm_cpu        PACKED 1: B from panels (ceil(N/NR), K, NR) of fp32, zeros right of column N.
//                   PACKED 0: B in place; each work-item copies it to __local, a slice of a panel at a time.
//                   Traffic from memory: A once per tile_n columns, B once per tile_m rows, C written once; for each
//                   further tile_k the partial sums, fp32, are read and written again.
//   gemm_cpu_pack   B -> panels, launched before it (PACKED 1 only). Traffic: 1 read + 1 write of K*N.
// Tiles are arguments, so that one program serves all of them:
//   tile_m   rows of C per work-item, a multiple of PER_ITEM_M. Sets how often B is read again, and with USE_LDS the
//            size of `block`, tile_m * tile_k floats, which should fill about half of L2.
//   tile_n   columns of C per work-item, a multiple of NR. Sets how often A is read again.
//   tile_k   depth of one pass, a multiple of UNROLL_K. A panel slice takes tile_k * 64 bytes, the size of L1 at most.
// Both run in work-groups of one: on PoCL a group's items share one core, so a wider group adds only loop overhead.
//
// Structure (the field's five loops, Goto and van de Geijn 2008, doi 10.1145/1356052.1356053): the work-item owns
// a tile_m x tile_n block of C and steps through K by tile_k; a panel slice (tile_k x NR) stays in L1 while strips of
// PER_ITEM_M rows pass over it; the micro-kernel keeps PER_ITEM_M x NR sums in registers.

#include "ending.h"

// Rows of C per micro-kernel; unit: rows. See micro_tile.h for 6; 4 suits very few rows.
#ifndef PER_ITEM_M
#define PER_ITEM_M 6
#endif
// Steps of K per turn of the inner loop; unit: steps. Four hide the loop's own instructions behind multiply-adds.
#ifndef UNROLL_K
#define UNROLL_K 4
#endif
// 1: copy each block of A to __local, strip by strip, before use; 0: read A in place, which must be fp32. Copying pays
// where rows lie a large power of two apart, since they then compete for the same cache sets, or where A is transposed.
#ifndef USE_LDS
#define USE_LDS 0
#endif
// 1: B comes as panels, worth it for many rows or for weights that are used again; 0: B is read in place.
#ifndef PACKED
#define PACKED 1
#endif

// Where a strip of A lies, and the steps from row to row and along K in it.
#if USE_LDS
typedef const __local float *a_pointer;
#define ROW_STRIDE 1
#define K_STRIDE(rows) rows
#else
typedef const __global float *a_pointer;
#define ROW_STRIDE a_row
#define K_STRIDE(rows) a_step
#endif
#if PACKED
#define SLICE __global
#else
#define SLICE __local
#endif
#include "panel.h"

#if PACKED
// Panels of a work-item, and rows of one panel before it turns to the next: few enough that the lines of cache which
// panels share stay in L1. Fixed: four lines in a row are what the prefetcher likes.
#define PACK 4
#define PACK_ROWS 16
// Depth of a work-item; unit: elements of K, a multiple of PACK_ROWS.
#define PACK_K 512

// B of each matrix -> its panels. NDRange: (ceil(N / (PACK*NR)), ceil(K/PACK_K), matrices).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_cpu_pack(const int N, const int K,
                                                                           const int transpose_b,
                                                                           const __global stored *restrict b,
                                                                           __global float *restrict panels) {
  const size_t panel = (size_t)K * NR;
  const int n_panels = (N + NR - 1) / NR;
  const int panel0 = get_group_id(0) * PACK;
  const int panel_end = min(panel0 + PACK, n_panels);
  const int first = get_group_id(1) * PACK_K;
  const int last = min(first + PACK_K, K);
  b += get_group_id(2) * (size_t)N * K;
  panels += get_group_id(2) * n_panels * panel;
  for (int k = first; k < last; k += PACK_ROWS) {
    const int depth = min(PACK_ROWS, last - k);
    for (int p = panel0; p < panel_end; ++p) {
      const int columns = min(NR, N - p * NR);
      __global float *to = panels + p * panel + (size_t)k * NR;
      if (transpose_b) {
        copy_columns(depth, columns, b + (size_t)p * NR * K + k, K, to);
      } else {
        copy_rows(depth, columns, b + (size_t)k * N + p * NR, N, to);
      }
    }
  }
}
#endif

#define A_OF(i) a[i * row_stride + k * k_stride]
#define STORE_SUMS(i)                                                                                                  \
  STORE8(left##i, to + i * n);                                                                                         \
  STORE8(right##i, to + i * n + 8);

// micro_tile_<rows>: A strip (rows, depth) @ panel slice (depth, NR) -> `to`, row stride n, where it is given; else tile.
#define MICRO_TILE(rows)                                                                                               \
  INLINE void micro_tile_##rows(const int depth, a_pointer a, const size_t row_stride, const size_t k_stride,          \
                                const SLICE float8 *panel, __global float *to, const size_t n, float *tile) {          \
    ROWS_##rows(ZERO_SUMS) _Pragma("unroll UNROLL_K") for (int k = 0; k < depth; ++k) {                                \
      const float8 b_left = panel[2 * k];                                                                              \
      const float8 b_right = panel[2 * k + 1];                                                                         \
      ROWS_##rows(ADD_PRODUCTS)                                                                                        \
    }                                                                                                                  \
    if (to) {                                                                                                          \
      ROWS_##rows(STORE_SUMS)                                                                                          \
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

#if USE_LDS
// Four columns of six rows of A -> four columns of a strip.
INLINE void interleave_6(const __global stored *a, const size_t n, __local float *strip) {
  float4 column[4];
  turn(READ4(a), READ4(a + n), READ4(a + 2 * n), READ4(a + 3 * n), column);
  const float4 r4 = READ4(a + 4 * n), r5 = READ4(a + 5 * n);
  const float4 even = (float4)(r4.even, r5.even), odd = (float4)(r4.odd, r5.odd);
  const float2 rest[4] = {even.even, odd.even, even.odd, odd.odd};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    *(__local float4_u *)(strip + k * 6) = column[k];
    *(__local float2_u *)(strip + k * 6 + 4) = rest[k];
  }
}

// A (rows, depth), row stride n -> block (rows/PER_ITEM_M, depth, PER_ITEM_M); a last strip is narrower.
INLINE void pack_a(const int rows, const int depth, const __global stored *a, const size_t n, __local float *block) {
  for (int r = 0; r < rows; r += PER_ITEM_M) {
    const int width = min(PER_ITEM_M, rows - r);
    const __global stored *from = a + r * n;
    __local float *strip = block + r * depth;
    int k = 0;
    if (width == 6) {
      for (; k + 4 <= depth; k += 4) {
        interleave_6(from + k, n, strip + k * 6);
      }
    }
    for (; k < depth; ++k) {
      for (int i = 0; i < width; ++i) {
        strip[k * width + i] = READ(from + i * n + k);
      }
    }
  }
}

// The same of A transposed: (depth, rows), row stride n.
INLINE void pack_a_transposed(const int rows, const int depth, const __global stored *a, const size_t n,
                              __local float *block) {
  for (int k = 0; k < depth; ++k, a += n) {
    PREFETCH(a + AHEAD * n, 3);
    for (int r = 0; r < rows; r += PER_ITEM_M) {
      const int width = min(PER_ITEM_M, rows - r);
      __local float *strip = block + r * depth + k * width;
      if (width == 6) {
        *(__local float4_u *)strip = READ4(a + r);
        *(__local float2_u *)(strip + 4) = READ2(a + r + 4);
      } else {
        for (int i = 0; i < width; ++i) {
          strip[i] = READ(a + r + i);
        }
      }
    }
  }
}
#endif

#define STRIP(rows)                                                                                                    \
  case rows:                                                                                                           \
    micro_tile_##rows(depth, strip, ROW_STRIDE, K_STRIDE(rows), panel, to, N, tile);                                   \
    break;

// NDRange: (ceil(M/tile_m), ceil(N/tile_n), products). partial: as large as C, c itself if fp32; unused with one pass.
// block: tile_m * tile_k floats if USE_LDS; slice: tile_k * NR floats unless PACKED; otherwise of any size, unused.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_cpu(const int M, const int N, const int K, const int transpose_a, const int transpose_b,
         const __global long *restrict offsets, const __global stored *restrict a,
#if PACKED
         const __global float *restrict b,
#else
         const __global stored *restrict b,
#endif
         const float alpha, const int has_bias, const __global stored *bias, const int has_residual,
         const __global stored *residual, const float activation_alpha, const float activation_beta,
         __global float *partial, __global stored *c, const int tile_m, const int tile_n, const int tile_k,
         __local float *block, __local float16 *slice) {
  const size_t product = get_group_id(2);
  const size_t c_start = product * M * N;
  const Ending ending = {alpha, activation_alpha,   activation_beta,   has_bias,   has_residual,
                         bias,  residual + c_start, partial + c_start, c + c_start};
  const int row0 = get_group_id(0) * tile_m;
  const int column0 = get_group_id(1) * tile_n;
  const int rows = min(tile_m, M - row0);
  const int column_end = min(column0 + tile_n, N);
  const size_t a_row = transpose_a ? 1 : K, a_step = transpose_a ? M : 1;
  a += offsets[2 * product] + row0 * a_row;
  b += offsets[2 * product + 1];
  float tile[PER_ITEM_M * NR];
  // Equal passes, so that the last one is not a sliver of K.
  const int passes = max((K + tile_k - 1) / tile_k, 1);
  const int pass_depth = ((K + passes - 1) / passes + UNROLL_K - 1) / UNROLL_K * UNROLL_K;
  int k0 = 0;
  do { // at least once: with K = 0 the sums are zeros
    const int depth = min(pass_depth, K - k0);
    const int first = k0 == 0, last = k0 + depth == K;
#if HALF
    __global float *straight = first && !last ? ending.partial : 0;
#else
    const int as_it_is = !last || (!has_bias && !has_residual && alpha == 1.0f && ACTIVATION == 0);
    __global float *straight = first && as_it_is ? ending.c : 0;
#endif
#if USE_LDS
    if (transpose_a) {
      pack_a_transposed(rows, depth, a + k0 * a_step, M, block);
    } else {
      pack_a(rows, depth, a + k0, K, block);
    }
#endif
    for (int column = column0; column < column_end; column += NR) {
      const int columns = min(NR, N - column);
#if PACKED
      const __global float8 *panel = (const __global float8 *)(b + ((size_t)(column / NR) * K + k0) * NR);
#else
      if (transpose_b) {
        copy_columns(depth, columns, b + (size_t)column * K + k0, K, (__local float *)slice);
      } else {
        copy_rows(depth, columns, b + (size_t)k0 * N + column, N, (__local float *)slice);
      }
      const __local float8 *panel = (const __local float8 *)slice;
#endif
#if PACKED && USE_LDS
      // Each strip asks for its share of the next panel slice. Without copied A there are too few strips to share it.
      const __global float *ahead = b + ((size_t)(column / NR + 1) * K + k0) * NR;
      const int share = column + NR < column_end ? (depth * PER_ITEM_M + rows - 1) / rows : 0;
#endif
      for (int r = 0; r < rows; r += PER_ITEM_M) {
#if PACKED && USE_LDS
#pragma unroll 1
        for (int line = 0; line < share; ++line, ahead += NR) {
          PREFETCH(ahead, 2);
        }
#endif
#if USE_LDS
        const a_pointer strip = block + r * depth;
#else
        const a_pointer strip = a + r * a_row + k0 * a_step;
#endif
        const size_t at = (size_t)(row0 + r) * N + column;
        const int height = min(PER_ITEM_M, rows - r);
        for (int i = 0; i < height && !first; ++i) { // sums of an earlier pass have left the caches meanwhile
          PREFETCH(ending.partial + at + i * N, 3);
          PREFETCH(ending.partial + at + i * N + columns - 1, 3);
        }
        __global float *to = straight && columns == NR ? straight + at : 0;
        switch (height) {
          STRIP(1)
          STRIP(2)
          STRIP(3)
          STRIP(4)
#if PER_ITEM_M == 6
          STRIP(5)
          STRIP(6)
#endif
        }
        if (!to) {
          end_tile(height, columns, first, last, tile, at, column, N, &ending);
        }
      }
    }
    k0 += depth;
  } while (k0 < K);
}
