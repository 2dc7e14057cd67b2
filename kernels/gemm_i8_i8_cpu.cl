// C = (A - zero points) @ (B - zero points) in int8 for processors: pairs of products, summed in int32.
//
// Shapes and arguments as in gemm_i8_i8.cl. Three kernels, launched in this order:
//   gemm_i8_i8_cpu_pack_a   A -> (M, P) pairs of int16, zero points taken off, P = ceil(K/2); an odd K ends in a 0
//   gemm_i8_i8_cpu_pack_b   B -> panels (ceil(N/NR), P, NR) of pairs, zeros right of column N
//   gemm_i8_i8_cpu          pairs -> C, in blocks of TILE_M x TILE_N, work-groups of one
// A difference of two bytes takes nine bits, so a pair of products cannot overflow int32, and x86 multiplies and adds
// sixteen int16 pairs in one instruction: twice the products of an fp32 multiply-add.

// Rows of C per work-item; unit: rows, a multiple of 6, the micro-kernel's.
#ifndef TILE_M
#define TILE_M 48
#endif
// Columns of C per work-item; unit: columns, a multiple of 16.
#ifndef TILE_N
#define TILE_N 256
#endif

#include "micro_tile.h"
#include "requantize.h"

typedef int8 int8_u __attribute__((aligned(4)));
typedef short16 short16_u __attribute__((aligned(2)));
typedef uchar16 uchar16_u __attribute__((aligned(1)));

// Eight sums += eight pairs of products.
#if defined(__AVX2__)
#define ADD_PAIRS(x, b, sums) ((sums) + __builtin_ia32_pmaddwd256(x, b))
#else
#define FIRST_OF(pairs) ((as_int8(pairs) << (int8)(16)) >> (int8)(16))
#define SECOND_OF(pairs) (as_int8(pairs) >> (int8)(16))
#define ADD_PAIRS(x, b, sums) ((sums) + FIRST_OF(x) * FIRST_OF(b) + SECOND_OF(x) * SECOND_OF(b))
#endif

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
  for (int pair = 0; pair < n_pairs; ++pair, b += 2 * (size_t)N, panels += NR) {
    for (int j = 0; j < NR; ++j) {
      const int inside = column + j < N;
      const uchar zero = inside ? b_zero[(column + j) * b_step] : 0;
      const int first = inside ? BYTE_LESS(b[j], zero, b_flip) : 0;
      const int second = (inside & (2 * pair + 1 < K)) ? BYTE_LESS(b[N + j], zero, b_flip) : 0;
      panels[j] = (first & 0xffff) | (second << 16);
    }
  }
}

#define ZERO_INTS(i) int8 left##i = (int8)(0), right##i = (int8)(0);
#define ADD_TO_INTS(i)                                                                                                 \
  {                                                                                                                    \
    const short16 x = as_short16((int8)(pairs[(size_t)i * n_pairs + k]));                                              \
    left##i = ADD_PAIRS(x, b_left, left##i);                                                                           \
    right##i = ADD_PAIRS(x, b_right, right##i);                                                                        \
  }
#define SPILL_INTS(i)                                                                                                  \
  *(int8_u *)(tile + i * NR) = left##i;                                                                                \
  *(int8_u *)(tile + i * NR + 8) = right##i;

#define MICRO_TILE(rows)                                                                                               \
  INLINE void micro_tile_##rows(const int n_pairs, const __global int *pairs, const __global short16 *panel,           \
                                int *tile) {                                                                           \
    ROWS_##rows(ZERO_INTS) _Pragma("unroll 4") for (int k = 0; k < n_pairs; ++k) {                                     \
      const short16 b_left = panel[2 * k];                                                                             \
      const short16 b_right = panel[2 * k + 1];                                                                        \
      ROWS_##rows(ADD_TO_INTS)                                                                                         \
    }                                                                                                                  \
    ROWS_##rows(SPILL_INTS)                                                                                            \
  }
MICRO_TILE(1)
MICRO_TILE(2)
MICRO_TILE(3)
MICRO_TILE(4)
MICRO_TILE(5)
MICRO_TILE(6)

#define STRIP(rows)                                                                                                    \
  case rows:                                                                                                           \
    micro_tile_##rows(n_pairs, strip, panel, tile);                                                                    \
    break;

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
      switch (rows) {
        STRIP(1)
        STRIP(2)
        STRIP(3)
        STRIP(4)
        STRIP(5)
        STRIP(6)
      }
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
