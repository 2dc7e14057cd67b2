// The heart of dense products on processors: up to six rows of sixteen sums in
// registers, fed by broadcasts of A.
//
//     ROWS_6(ZERO_SUMS)
//     for (int k = 0; k < depth; ++k) {
//       const float8 b_left = panel[2 * k], b_right = panel[2 * k + 1];
//       ROWS_6(ADD_PRODUCTS) // which reads A_OF(i), an expression of i and k
//       that the includer defines, for each row i
//     }
//     ROWS_6(KEEP)         // any macro of i over left<i> and right<i>
//
// 6 x 16 sums are twelve 8-wide registers, which with two of B and one of A
// fill 15 of the 16 that AVX2 has: 48 multiply-adds in 85 instructions at four
// steps of k per turn. The sums are named variables and not an array: LLVM 14
// keeps an indexed array in memory, at 0.4 of the speed. One float16 instead of
// two float8 gains nothing.
#ifndef RX580LAB_MICRO_TILE_H
#define RX580LAB_MICRO_TILE_H

#include "mac.h"
#include "vec.h"

// Columns of a panel of B; unit: columns. Fixed: two float8 per row are what
// the register budget above allows.
#define NR 16

#define INLINE static inline __attribute__((always_inline))

#define ROWS_1(DO) DO(0)
#define ROWS_2(DO) ROWS_1(DO) DO(1)
#define ROWS_3(DO) ROWS_2(DO) DO(2)
#define ROWS_4(DO) ROWS_3(DO) DO(3)
#define ROWS_5(DO) ROWS_4(DO) DO(4)
#define ROWS_6(DO) ROWS_5(DO) DO(5)

#define ZERO_SUMS(i) float8 left##i = (float8)(0.0f), right##i = (float8)(0.0f);
#define ADD_PRODUCTS(i)                                                                                                \
  {                                                                                                                    \
    const float8 x = (float8)(A_OF(i));                                                                                \
    left##i = MAC(x, b_left, left##i);                                                                                 \
    right##i = MAC(x, b_right, right##i);                                                                              \
  }
// Into the rows of a private tile of NR floats each.
#define SPILL_SUMS(i)                                                                                                  \
  *(float8_u *)(tile + i * NR) = left##i;                                                                              \
  *(float8_u *)(tile + i * NR + 8) = right##i;

#endif
