// C = (A - zero points) @ (B - zero points) in int8 for processors: pairs of products, summed in int32.
//
// Shapes and arguments as in gemm_i8_i8.cl. Three kernels, launched in this order:
//   gemm_i8_i8_cpu_pack_a   A -> (M, P) pairs of int16, zero points taken off, P = ceil(K/2); an odd K ends in a 0
//   gemm_i8_i8_cpu_pack_b   B -> panels (ceil(N/NR), P, NR) of pairs, zeros right of column N
//   gemm_i8_i8_cpu          pairs -> C, in blocks of TILE_M x TILE_N, work-groups of one

// Rows of C per work-item; unit: rows, a multiple of 6, the micro-kernel's.
#ifndef TILE_M
#define TILE_M 48
#endif
// Columns of C per work-item; unit: columns, a multiple of 16.
#ifndef TILE_N
#define TILE_N 256
#endif

#include "int8_pairs.h"
#include "requantize.h"

typedef short16 short16_u __attribute__((aligned(2)));
typedef uchar16 uchar16_u __attribute__((aligned(1)));

// Sixteen bytes as int16, as their flip says.
#define WIDE(p, flip) (convert_short16(*(const __global uchar16_u *)(p) ^ (uchar16)(flip)))

// A (M,K) -> pairs (M,P). NDRange: (M).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_i8_i8_cpu_pack_a(const int K, const __global uchar *restrict a, const int a_flip,
                      const __global uchar *restrict a_zero, const int a_step, __global short *restrict pairs) {
  const size_t row = get_group_id(0);
  const int padded = (K + 1) / 2 * 2;
  const short zero = BYTE_OF(a_zero[row * a_step], a_flip);
  a += row * K;
  pairs += row * padded;
  int k = 0;
  for (; k + 16 <= K; k += 16) {
    const short16 wide = WIDE(a + k, a_flip) - (short16)(zero);
    *(__global short16_u *)(pairs + k) = wide;
  }
  for (; k < padded; ++k) {
    pairs[k] = k < K ? BYTE_OF(a[k], a_flip) - zero : 0;
  }
}

// B (K,N) -> panels (ceil(N/NR), P, NR) of pairs. NDRange: (ceil(N/NR)).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_i8_i8_cpu_pack_b(const int N, const int K, const __global uchar *restrict b, const int b_flip,
                      const __global uchar *restrict b_zero, const int b_step, __global int *restrict panels) {
  const int column = get_group_id(0) * NR;
  const int n_pairs = (K + 1) / 2;
  b += column;
  panels += (size_t)column * n_pairs;
  int pair = 0;
  if (column + NR <= N) { // without conditions, and so in vectors; the last row of an odd K comes below
    int zeros[NR];
    for (int j = 0; j < NR; ++j) {
      zeros[j] = BYTE_OF(b_zero[(column + j) * b_step], b_flip);
    }
    for (; 2 * pair + 1 < K; ++pair, b += 2 * (size_t)N, panels += NR) {
      for (int j = 0; j < NR; ++j) {
        panels[j] = PAIR(BYTE_OF(b[j], b_flip) - zeros[j], BYTE_OF(b[N + j], b_flip) - zeros[j]);
      }
    }
  }
  for (; pair < n_pairs; ++pair, b += 2 * (size_t)N, panels += NR) {
    for (int j = 0; j < NR; ++j) {
      const int inside = column + j < N;
      const uchar zero = inside ? b_zero[(column + j) * b_step] : 0;
      const int first = inside ? BYTE_LESS(b[j], zero, b_flip) : 0;
      const int second = (inside & (2 * pair + 1 < K)) ? BYTE_LESS(b[N + j], zero, b_flip) : 0;
      panels[j] = PAIR(first, second);
    }
  }
}

// NDRange: (ceil(M/TILE_M), ceil(N/TILE_N)).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_i8_i8_cpu(const int M, const int N, const int K, const __global int *restrict pairs,
               const __global int *restrict panels, const __global int *restrict bias, const int bias_step,
               const __global float *restrict scale, const int scale_step, const __global float *restrict row_scale,
               const int row_step, const int zero_point, const int lowest, __global result *restrict c) {
  const int row0 = get_group_id(0) * TILE_M;
  const int row_end = min(row0 + TILE_M, M);
  const int column0 = get_group_id(1) * TILE_N;
  const int column_end = min(column0 + TILE_N, N);
  const int n_pairs = (K + 1) / 2;
  int tile[6 * NR];
  for (int column = column0; column < column_end; column += NR) {
    const int columns = min(NR, N - column);
    const __global short16 *panel = (const __global short16 *)(panels + (size_t)column * n_pairs);
    for (int row = row0; row < row_end; row += 6) {
      const int rows = min(6, row_end - row);
      const __global int *strip = pairs + (size_t)row * n_pairs;
      tile_of_pairs(rows, n_pairs, strip, panel, tile);
      for (int i = 0; i < rows; ++i) {
        const float of_row = row_scale[(row + i) * row_step];
        __global result *to = c + (size_t)(row + i) * N + column;
        for (int j = 0; j < columns; ++j) {
          const int sum = tile[i * NR + j] + bias[(column + j) * bias_step];
          to[j] = requantize(sum, scale[(column + j) * scale_step] * of_row, zero_point, lowest);
        }
      }
    }
  }
}
