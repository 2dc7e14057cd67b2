// C = A @ B for processors, when C has few rows: B is read once, in place and in order, and nothing is packed.
//
// Shapes: A (M,K), B (K,N), C (M,N), row-major, fp32, no padding between rows; any M, N, K, shaped for M up to 32.
// NDRange: (ceil(N/TILE_N), ceil(M/TILE_M)) in work-groups of one. Traffic from memory: B once per TILE_M rows, A once
// per TILE_N columns, C written once. With so few rows, packing B as gemm_cpu does would move it three times.
//
// Structure: the sums of a TILE_M x TILE_N block stay in __local, that is in L1. Four rows of B stream past: sixteen
// columns of them are held in eight registers, while each row of C takes its share of them.

#include "mac.h"
#include "vec.h"

// Rows of C per work-item; unit: rows. More rows reuse B more often, fewer leave L1 to the streams of B.
#ifndef TILE_M
#define TILE_M 32
#endif
// Columns of C per work-item; unit: columns, a multiple of 16. TILE_M * TILE_N floats of sums should fit in half of L1.
#ifndef TILE_N
#define TILE_N 128
#endif
// Depth of the block of A that is copied to __local at a time; unit: elements of K, a multiple of 4. The copy makes A
// contiguous: rows a large power of two apart would throw each other out of L1.
#ifndef TILE_K
#define TILE_K 64
#endif

// Rows of B in flight and columns held; fixed: 4 x 16 floats are eight 8-wide registers of the 16 that AVX2 has.
#define DEPTH 4
#define WIDTH 16

// sums (rows, TILE_N) += A block (rows, DEPTH) @ B rows (DEPTH, WIDTH) in columns [at, at + WIDTH).
static inline __attribute__((always_inline)) void multiply_wide(const int rows, const __local float *block,
                                                                const __global float *b, const size_t n,
                                                                __local float8 *sums) {
  const float8 b00 = LOAD8(b), b01 = LOAD8(b + 8);
  const float8 b10 = LOAD8(b + n), b11 = LOAD8(b + n + 8);
  const float8 b20 = LOAD8(b + 2 * n), b21 = LOAD8(b + 2 * n + 8);
  const float8 b30 = LOAD8(b + 3 * n), b31 = LOAD8(b + 3 * n + 8);
  // The same columns of the next rows: each row is on another page, where no hardware prefetcher follows.
  PREFETCH(b + (DEPTH + 0) * n, 2);
  PREFETCH(b + (DEPTH + 1) * n, 2);
  PREFETCH(b + (DEPTH + 2) * n, 2);
  PREFETCH(b + (DEPTH + 3) * n, 2);
  for (int i = 0; i < rows; ++i, block += DEPTH, sums += TILE_N / 8) {
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
                                 const __global float *b, const size_t n, __local float *sums) {
  for (int i = 0; i < rows; ++i, block += DEPTH, sums += TILE_N) {
    for (int k = 0; k < depth; ++k) {
      for (int j = 0; j < columns; ++j) {
        sums[j] = MAC(block[k], b[k * n + j], sums[j]);
      }
    }
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gemm_cpu_skinny(const int M, const int N, const int K,
                                                                             const __global float *restrict a,
                                                                             const __global float *restrict b,
                                                                             __global float *restrict c) {
  __local float8 sums[TILE_M * TILE_N / 8];
  __local float block[TILE_M * TILE_K]; // [k / DEPTH][row][k % DEPTH]
  const int column0 = get_group_id(0) * TILE_N;
  const int row0 = get_group_id(1) * TILE_M;
  const int columns = min(TILE_N, N - column0);
  const int rows = min(TILE_M, M - row0);
  for (int i = 0; i < rows * (TILE_N / 8); ++i) {
    sums[i] = (float8)(0.0f);
  }
  a += (size_t)row0 * K;
  b += column0;
  for (int k0 = 0; k0 < K; k0 += TILE_K) {
    const int depth = min(TILE_K, K - k0);
    for (int i = 0; i < rows; ++i) {
      const __global float *from = a + (size_t)i * K + k0;
      for (int k = 0; k < depth; ++k) {
        block[(k / DEPTH * rows + i) * DEPTH + k % DEPTH] = from[k];
      }
    }
    for (int k = 0; k < depth; k += DEPTH) {
      const int steps = min(DEPTH, depth - k);
      const __local float *share = block + k * rows;
      const __global float *from = b + (size_t)(k0 + k) * N;
      int j = 0;
      if (steps == DEPTH) {
        for (; j + WIDTH <= columns; j += WIDTH) {
          multiply_wide(rows, share, from + j, N, sums + j / 8);
        }
      }
      if (j < columns) {
        multiply_rest(rows, steps, columns - j, share, from + j, N, (__local float *)sums + j);
      }
    }
  }
  for (int i = 0; i < rows; ++i) {
    __global float *to = c + (size_t)(row0 + i) * N + column0;
    const __local float *from = (const __local float *)sums + i * TILE_N;
    for (int j = 0; j < columns; ++j) {
      to[j] = from[j];
    }
  }
}
