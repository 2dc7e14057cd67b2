// Activation functions from multiply-adds, divisions and integer tricks only: the same for scalars and vectors.
//
// No call is left in them (tanh() and erf() of PoCL stay calls with every vector register spilled around them). Each
// comes for 1, 4, 8 and 16 floats, by name: tanh_1 (float), tanh_8 (float8), gelu_16 (float16) ... NaN gives NaN, and
// an infinity the function's limit, also where a formula has infinity * 0. Results below 2^-126 may be 0.
// Errors, u = 2^-24, where a*b+c rounds once or twice, exp() within 2 and division within 2.5 units in the last place:
//   relu, clip                     exact
//   leaky_relu, hard_sigmoid       u |alpha x|; 2 u (|alpha x| + |beta|)
//   hard_swish_affine              u (3 |alpha x| + 2 |beta|), beside |alpha| times hard_swish's error
//   tanh, sigmoid                  10 u relative
//   erf                            8 u relative
//   elu, selu, softplus            12 u, 13 u, 14 u relative
//   silu, mish, softsign           11 u, 20 u, 6 u relative
//   gelu                           8 u |x| absolute (the erf form cancels where x < 0, as it does everywhere)
//   gelu_tanh                      u (11 + 5 |t| sigmoid(-t)) relative, where gelu_tanh(x) = x sigmoid(t)
#ifndef RX580LAB_ACTIVATION_H
#define RX580LAB_ACTIVATION_H

#include "exp.h"

#define ACTIVATION_SIGN 0x80000000
#define ACTIVATION_MAGNITUDE 0x7fffffff

// From here on tanh is 1 - 2 / (exp(2x) + 1); below, x + x^3 P(x^2), where that would cancel.
#define TANH_SPLIT 0.625f
// From here on erf is 1 - exp(-q(x)), q = -log(erfc(x)); from 4 on that rounds to 1.
#define ERF_SPLIT 0.75f
#define ERF_ONE 4.0f
// Far enough below 0 for x * sigmoid(x), x * tanh(softplus(x)) and x * Phi(x) to be 0.
#define ACTIVATION_LOWEST -104.0f

// Polynomials: minimax fits (Lawson's weights), coefficients rounded to fp32 one by one from the lowest order, each
// followed by a new fit of the rest. Relative errors: tanh 4e-9, erf 2e-9, erfc (of erfc's own size) 3e-10, log1p 1e-10.
#define DEFINE_ACTIVATIONS(n, floats, ints)                                                                            \
  DEFINE_EXP(exp_negative_##n, floats, ints)                                                                           \
  static inline __attribute__((always_inline)) floats magnitude_##n(const floats x) {                                  \
    return as_##floats(as_##ints(x) & (ints)(ACTIVATION_MAGNITUDE));                                                   \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats signed_as_##n(const floats size, const floats x) {               \
    return as_##floats(as_##ints(size) | (as_##ints(x) & (ints)(ACTIVATION_SIGN)));                                    \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats no_less_##n(const floats x, const float low) {                   \
    return x < (floats)(low) ? (floats)(low) : x;                                                                      \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats no_more_##n(const floats x, const float high) {                  \
    return x > (floats)(high) ? (floats)(high) : x;                                                                    \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats relu_##n(const floats x) { return no_less_##n(x, 0.0f); }        \
  static inline __attribute__((always_inline)) floats leaky_relu_##n(const floats x, const float alpha) {              \
    return x < (floats)(0.0f) ? x * (floats)(alpha) : x;                                                               \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats clip_##n(const floats x, const float low, const float high) {    \
    return no_more_##n(no_less_##n(x, low), high);                                                                     \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats hard_sigmoid_##n(const floats x, const float alpha,              \
                                                                       const float beta) {                             \
    return clip_##n(MAC(x, (floats)(alpha), (floats)(beta)), 0.0f, 1.0f);                                              \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats hard_swish_##n(const floats x, const float alpha,                \
                                                                     const float beta) {                               \
    const floats gate = hard_sigmoid_##n(x, alpha, beta);                                                              \
    return gate == (floats)(0.0f) ? (floats)(0.0f) : x * gate;                                                         \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats hard_swish_affine_##n(const floats x, const float alpha,         \
                                                                            const float beta) {                        \
    return MAC(hard_swish_##n(x, 0x1.555556p-3f, 0.5f), (floats)(alpha), (floats)(beta));                              \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats sigmoid_##n(const floats x) {                                    \
    const floats e = exp_negative_##n(-magnitude_##n(x));                                                              \
    return (x < (floats)(0.0f) ? e : (floats)(1.0f)) / (e + (floats)(1.0f));                                           \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats silu_##n(const floats x) {                                       \
    return no_less_##n(x, ACTIVATION_LOWEST) * sigmoid_##n(x);                                                         \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats tanh_##n(const floats x) {                                       \
    const floats size = magnitude_##n(x);                                                                              \
    const floats z = x * x;                                                                                            \
    floats p = MAC(z, (floats)(-5.71549917e-3f), (floats)(2.06491034e-2f));                                            \
    p = MAC(z, p, (floats)(-5.37430048e-2f));                                                                          \
    p = MAC(z, p, (floats)(1.33314848e-1f));                                                                           \
    p = MAC(z, p, (floats)(-3.33332837e-1f));                                                                          \
    const floats e = exp_negative_##n(size * (floats)(-2.0f));                                                         \
    const floats large = ((floats)(1.0f) - e) / ((floats)(1.0f) + e);                                                  \
    return size < (floats)(TANH_SPLIT) ? MAC(x * z, p, x) : signed_as_##n(large, x);                                   \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats erf_##n(const floats x) {                                        \
    const floats size = no_more_##n(magnitude_##n(x), ERF_ONE);                                                        \
    const floats z = size * size;                                                                                      \
    floats p = MAC(z, (floats)(-6.73757389e-4f), (floats)(5.11315698e-3f));                                            \
    p = MAC(z, p, (floats)(-2.68343352e-2f));                                                                          \
    p = MAC(z, p, (floats)(1.12833790e-1f));                                                                           \
    p = MAC(z, p, (floats)(-3.76126200e-1f));                                                                          \
    p = MAC(z, p, (floats)(1.28379166e-1f));                                                                           \
    floats q = MAC(size, (floats)(1.78745395e-5f), (floats)(-3.98537086e-4f));                                         \
    q = MAC(size, q, (floats)(4.00368730e-3f));                                                                        \
    q = MAC(size, q, (floats)(-2.46970672e-2f));                                                                       \
    q = MAC(size, q, (floats)(1.07656278e-1f));                                                                        \
    q = MAC(size, q, (floats)(6.33886576e-1f));                                                                        \
    q = MAC(size, q, (floats)(1.12926149f));                                                                           \
    q = MAC(size, q, (floats)(-1.24793849e-4f));                                                                       \
    const floats large = (floats)(1.0f) - exp_negative_##n(-q);                                                        \
    return size < (floats)(ERF_SPLIT) ? MAC(x, p, x) : signed_as_##n(large, x);                                        \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats gelu_##n(const floats x) {                                       \
    const floats share = MAC(erf_##n(x * (floats)(0.707106781f)), (floats)(0.5f), (floats)(0.5f));                     \
    return no_less_##n(x, ACTIVATION_LOWEST) * share;                                                                  \
  }                                                                                                                    \
  /* 0.5 (1 + tanh(t/2)) is sigmoid(t), which does not cancel. */                                                      \
  static inline __attribute__((always_inline)) floats gelu_tanh_##n(const floats x) {                                  \
    const floats t = x * MAC(x * x, (floats)(7.13548163e-2f), (floats)(1.59576912f));                                  \
    return no_less_##n(x, ACTIVATION_LOWEST) * sigmoid_##n(t);                                                         \
  }                                                                                                                    \
  /* exp(t) - 1 for t <= 0: with t = n ln2 + r, 2^n (exp(r) - 1) + (2^n - 1). */                                       \
  static inline __attribute__((always_inline)) floats expm1_negative_##n(const floats t) {                             \
    const floats rounded = MAC(t, (floats)(EXP_LOG2E), (floats)(EXP_ROUND));                                           \
    const floats whole = rounded - (floats)(EXP_ROUND);                                                                \
    const floats r = MAC(whole, (floats)(-EXP_LN2_LOW), MAC(whole, (floats)(-EXP_LN2_HIGH), t));                       \
    const floats scale = as_##floats((as_##ints(rounded) + (ints)(127)) << (ints)(23));                                \
    const floats value = MAC(scale, r * EXP_QUOTIENT(floats, r), scale - (floats)(1.0f));                              \
    return t < (floats)(EXP_LOWEST) ? (floats)(-1.0f) : value;                                                         \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats elu_##n(const floats x, const float alpha) {                     \
    return x > (floats)(0.0f) ? x : expm1_negative_##n(no_more_##n(x, 0.0f)) * (floats)(alpha);                        \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats selu_##n(const floats x, const float alpha, const float gamma) { \
    return elu_##n(x, alpha) * (floats)(gamma);                                                                        \
  }                                                                                                                    \
  /* log(1 + e) for 0 <= e <= 1 is 2 atanh(e / (2 + e)). */                                                            \
  static inline __attribute__((always_inline)) floats softplus_##n(const floats x) {                                   \
    const floats e = exp_negative_##n(-magnitude_##n(x));                                                              \
    const floats s = e / (e + (floats)(2.0f));                                                                         \
    const floats z = s * s;                                                                                            \
    floats p = MAC(z, (floats)(1.21226281e-1f), (floats)(1.07219428e-1f));                                             \
    p = MAC(z, p, (floats)(1.43076062e-1f));                                                                           \
    p = MAC(z, p, (floats)(1.99994743e-1f));                                                                           \
    p = MAC(z, p, (floats)(3.33333373e-1f));                                                                           \
    return MAC((floats)(2.0f), MAC(s * z, p, s), relu_##n(x));                                                         \
  }                                                                                                                    \
  /* tanh(log(1 + exp(x))) is a ratio of polynomials in exp(-|x|). */                                                  \
  static inline __attribute__((always_inline)) floats mish_##n(const floats x) {                                       \
    const floats e = exp_negative_##n(-magnitude_##n(x));                                                              \
    const floats top = x < (floats)(0.0f) ? e * (e + (floats)(2.0f)) : MAC(e, (floats)(2.0f), (floats)(1.0f));         \
    const floats rest = x < (floats)(0.0f) ? (floats)(2.0f) : e * e * (floats)(2.0f);                                  \
    return no_less_##n(x, ACTIVATION_LOWEST) * (top / (top + rest));                                                   \
  }                                                                                                                    \
  static inline __attribute__((always_inline)) floats softsign_##n(const floats x) {                                   \
    const floats size = no_more_##n(magnitude_##n(x), 1e30f); /* so that infinity gives 1 */                           \
    return signed_as_##n(size / (size + (floats)(1.0f)), x);                                                           \
  }

DEFINE_ACTIVATIONS(1, float, int)
DEFINE_ACTIVATIONS(4, float4, int4)
DEFINE_ACTIVATIONS(8, float8, int8)
DEFINE_ACTIVATIONS(16, float16, int16)

#endif
