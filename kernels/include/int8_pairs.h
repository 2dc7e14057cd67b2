// Products of int8 on processors: differences from zero points as int16, multiplied and added in pairs.
//
// A difference of two bytes takes nine bits, so a pair of products cannot overflow int32, and x86 multiplies and adds
// sixteen int16 in one instruction: twice the products of an fp32 multiply-add. The micro-kernel is micro_tile.h's, up
// to six rows of NR sums, over n_pairs pairs: micro_tile_<rows>(n_pairs, pairs, panel, tile) leaves them in tile (6,
// NR).
//   pairs (rows, n_pairs) of int16 pairs; panel (n_pairs, NR) of int16 pairs, aligned to 32 bytes.
#ifndef RX580LAB_INT8_PAIRS_H
#define RX580LAB_INT8_PAIRS_H

#include "micro_tile.h"

typedef int8 int8_u __attribute__((aligned(4)));

// Two numbers of at most 16 bits as one pair, the first in the low half.
#define PAIR(first, second) (((first) & 0xffff) | ((second) << 16))

// Eight sums += eight pairs of products.
#if defined(__AVX2__)
#define ADD_PAIRS(x, b, sums) ((sums) + __builtin_ia32_pmaddwd256(x, b))
#else
#define FIRST_OF(pairs) ((as_int8(pairs) << (int8)(16)) >> (int8)(16))
#define SECOND_OF(pairs) (as_int8(pairs) >> (int8)(16))
#define ADD_PAIRS(x, b, sums) ((sums) + FIRST_OF(x) * FIRST_OF(b) + SECOND_OF(x) * SECOND_OF(b))
#endif

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

#define MICRO_TILE_OF_PAIRS(rows)                                                                                      \
  INLINE void micro_tile_##rows(const int n_pairs, const __global int *pairs, const __global short16 *panel,           \
                                int *tile) {                                                                           \
    ROWS_##rows(ZERO_INTS) _Pragma("unroll 4") for (int k = 0; k < n_pairs; ++k) {                                     \
      const short16 b_left = panel[2 * k];                                                                             \
      const short16 b_right = panel[2 * k + 1];                                                                        \
      ROWS_##rows(ADD_TO_INTS)                                                                                         \
    }                                                                                                                  \
    ROWS_##rows(SPILL_INTS)                                                                                            \
  }
MICRO_TILE_OF_PAIRS(1)
MICRO_TILE_OF_PAIRS(2)
MICRO_TILE_OF_PAIRS(3)
MICRO_TILE_OF_PAIRS(4)
MICRO_TILE_OF_PAIRS(5)
MICRO_TILE_OF_PAIRS(6)

// rows (1 to 6) of NR sums in tile.
INLINE void tile_of_pairs(const int rows, const int n_pairs, const __global int *pairs, const __global short16 *panel,
                          int *tile) {
  switch (rows) {
  case 1:
    micro_tile_1(n_pairs, pairs, panel, tile);
    break;
  case 2:
    micro_tile_2(n_pairs, pairs, panel, tile);
    break;
  case 3:
    micro_tile_3(n_pairs, pairs, panel, tile);
    break;
  case 4:
    micro_tile_4(n_pairs, pairs, panel, tile);
    break;
  case 5:
    micro_tile_5(n_pairs, pairs, panel, tile);
    break;
  default:
    micro_tile_6(n_pairs, pairs, panel, tile);
  }
}

#endif
