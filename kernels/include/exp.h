// exp(t) for t <= 0, from multiply-adds only: the same bits on every device that contracts a*b+c alike.
//
// exp() of PoCL stays a function call with every vector register spilled around it, and native_exp() may be as
// inaccurate as a driver likes. Here: t = n*ln2 + r with |r| <= ln2/2, exp(r) by a polynomial of degree 6 (weighted
// least squares at Chebyshev nodes, relative error 4e-9), scaled by 2^n through the exponent's bits.
// Error: at most 2 units in the last place. Below -87.33, where the result would be subnormal: 0. NaN gives NaN,
// -infinity gives 0. Above 0 it is wrong once the exponent's bits overflow: shift by the maximum first.
#ifndef RX580LAB_EXP_H
#define RX580LAB_EXP_H

#include "mac.h"

// 1.5 * 2^23: adding it rounds to the nearest integer, which then stands in the low bits. Its own low nine bits are 0,
// so a shift by 23 leaves n alone.
#define EXP_ROUND 12582912.0f
#define EXP_LOWEST -87.33f
#define EXP_LOG2E 1.44269504f
// ln2 in two parts; n * EXP_LN2_HIGH is exact, since it has ten bits.
#define EXP_LN2_HIGH 0.693359375f
#define EXP_LN2_LOW -2.12194440e-4f

// (exp(r) - 1) / r for |r| <= ln2/2.
#define EXP_QUOTIENT(floats, r)                                                                                        \
  MAC(r,                                                                                                               \
      MAC(r,                                                                                                           \
          MAC(r, MAC(r, MAC(r, (floats)(1.38145988e-3f), (floats)(8.36871658e-3f)), (floats)(4.16683890e-2f)),         \
              (floats)(1.66665211e-1f)),                                                                               \
          (floats)(4.99999940e-1f)),                                                                                   \
      (floats)(1.0f))

// Defines `floats name(floats t)`; ints is the integer type of as many elements.
#define DEFINE_EXP(name, floats, ints)                                                                                 \
  static inline __attribute__((always_inline)) floats name(const floats t) {                                           \
    const floats rounded = MAC(t, (floats)(EXP_LOG2E), (floats)(EXP_ROUND));                                           \
    const floats n = rounded - (floats)(EXP_ROUND);                                                                    \
    const floats r = MAC(n, (floats)(-EXP_LN2_LOW), MAC(n, (floats)(-EXP_LN2_HIGH), t));                               \
    const floats p = MAC(r, EXP_QUOTIENT(floats, r), (floats)(1.0f));                                                  \
    const floats scale = as_##floats((as_##ints(rounded) + (ints)(127)) << (ints)(23));                                \
    return t < (floats)(EXP_LOWEST) ? (floats)(0.0f) : p * scale;                                                      \
  }

#endif
