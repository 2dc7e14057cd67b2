// C = act(alpha * A @ B + bias + residual) for processors, when C has few rows: B is read once, in place and in order.
//
// Shapes: A (M,K) or, transposed, (K,M); B (K,N); C and residual (M,N); bias (N); row-major, `stored` elements (fp32 or
// fp16), no padding between rows; any M, N, K, shaped for M up to 32. A batch of them lies in get_group_id(2): `offsets`
// holds, for each product, where its A and its B start, so that one operand may serve many.
// NDRange: (ceil(N/tile_n), ceil(M/tile_m), products) in work-groups of one. Traffic from memory: B once per tile_m
// rows, A once per tile_n columns, C written once. With so few rows, packing B as gemm_cpu does would move it three times.
//
// Tiles are arguments, so that one program serves all of them:
//   tile_m   rows of C per work-item. More rows reuse B more often, fewer leave L1 to the streams of B.
//   tile_n   columns of C per work-item, a multiple of 16. tile_m * tile_n floats of `sums` should fit in half of L1.
//   tile_k   depth of the block of A that is copied to `block`, tile_m * tile_k floats, at a time; a multiple of 4. The
//            copy makes A contiguous: rows a large power of two apart would throw each other out of L1.
//
// Structure: the sums of a tile_m x tile_n block stay in __local, that is in L1. Four rows of B stream past: sixteen
// columns of them are held in eight registers, while each row of C takes its share of them.

#include "ending.h"

// Rows of B in flight and columns held; fixed: 4 x 16 floats are eight 8-wide registers of the 16 that AVX2 has.
#define DEPTH 4
#define WIDTH 16

// sums (rows, tile_n) += A block (rows, DEPTH) @ B rows (DEPTH, WIDTH) in columns [at, at + WIDTH).
static inline __attribute__((always_inline)) void multiply_wide(const int rows, const __local float *block,
                                                                const __global stored *b, const size_t n,
                                                                __local float8 *sums, const size_t pitch) {
  const float8 b00 = READ8(b), b01 = READ8(b + 8);
  const float8 b10 = READ8(b + n), b11 = READ8(b + n + 8);
  const float8 b20 = READ8(b + 2 * n), b21 = READ8(b + 2 * n + 8);
  const float8 b30 = READ8(b + 3 * n), b31 = READ8(b + 3 * n + 8);
  // The same columns of the next rows: each row is on another page, where no hardware prefetcher follows.
  PREFETCH(b + (DEPTH + 0) * n, 2);
  PREFETCH(b + (DEPTH + 1) * n, 2);
  PREFETCH(b + (DEPTH + 2) * n, 2);
  PREFETCH(b + (DEPTH + 3) * n, 2);
  for (int i = 0; i < rows; ++i, block += DEPTH, sums += pitch) {
    float8 left = sums[0], right = sums[1];
    left = MAC((float8)(block[0]), b00, left);
    right = MAC((float8)(block[0]), b01, right);
    left = MAC((float8)(block[1]), b10, left);
    right = MAC((float8)(block[1]), b11, right);
    left = MAC((float8)(block[2]), b20, left);
    right = MAC((float8)(block[2]), b21, right);
    left = MAC((float8)(block[3]), b30, left);
    right = MAC((float8)(block[3]), b31, right);
    sums[0] = left;
    sums[1] = right;
  }
}

// The same for what is left at the right edge of B or below its last full DEPTH of rows.
static inline void multiply_rest(const int rows, const int depth, const int columns, const __local float *block,
                                 const __global stored *b, const size_t n, __local float *sums, const size_t pitch) {
  for (int i = 0; i < rows; ++i, block += DEPTH, sums += pitch) {
    for (int k = 0; k < depth; ++k) {
      for (int j = 0; j < columns; ++j) {
        sums[j] = MAC(block[k], READ(b + k * n + j), sums[j]);
      }
    }
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_cpu_skinny(const int M, const int N, const int K, const int transpose_a, const __global long *restrict offsets,
                const __global stored *restrict a, const __global stored *restrict b, const float alpha,
                const int has_bias, const __global stored *bias, const int has_residual,
                const __global stored *residual, const float activation_alpha, const float activation_beta,
                __global stored *c, const int tile_m, const int tile_n, const int tile_k, __local float8 *sums,
                __local float *block) { // block: [k / DEPTH][row][k % DEPTH]
  const size_t product = get_group_id(2);
  const size_t c_start = product * M * N;
  const Ending ending = {alpha, activation_alpha, activation_beta, has_bias, has_residual, bias, residual + c_start,
                         0,     c + c_start};
  const int column0 = get_group_id(0) * tile_n;
  const int row0 = get_group_id(1) * tile_m;
  const int columns = min(tile_n, N - column0);
  const int rows = min(tile_m, M - row0);
  for (int i = 0; i < rows * (tile_n / 8); ++i) {
    sums[i] = (float8)(0.0f);
  }
  const size_t a_row = transpose_a ? 1 : K, a_step = transpose_a ? M : 1;
  a += offsets[2 * product] + row0 * a_row;
  b += offsets[2 * product + 1] + column0;
  for (int k0 = 0; k0 < K; k0 += tile_k) {
    const int depth = min(tile_k, K - k0);
    for (int i = 0; i < rows; ++i) {
      const __global stored *from = a + i * a_row + k0 * a_step;
      for (int k = 0; k < depth; ++k) {
        block[(k / DEPTH * rows + i) * DEPTH + k % DEPTH] = READ(from + k * a_step);
      }
    }
    for (int k = 0; k < depth; k += DEPTH) {
      const int steps = min(DEPTH, depth - k);
      const __local float *share = block + k * rows;
      const __global stored *from = b + (size_t)(k0 + k) * N;
      int j = 0;
      if (steps == DEPTH) {
        for (; j + WIDTH <= columns; j += WIDTH) {
          multiply_wide(rows, share, from + j, N, sums + j / 8, tile_n / 8);
        }
      }
      if (j < columns) {
        multiply_rest(rows, steps, columns - j, share, from + j, N, (__local float *)sums + j, tile_n);
      }
    }
  }
  for (int i = 0; i < rows; ++i) {
    const size_t at = (size_t)(row0 + i) * N + column0;
    const __local float *from = (const __local float *)sums + i * tile_n;
    int j = 0;
    for (; j + 8 <= columns; j += 8) {
      WRITE8(ended8(*(const __local float8 *)(from + j), &ending, at + j, column0 + j), ending.c + at + j);
    }
    for (; j < columns; ++j) {
      WRITE(ended(from[j], &ending, at + j, column0 + j), ending.c + at + j);
    }
  }
}
