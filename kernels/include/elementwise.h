// The functions of elementwise.cl and elementwise_cpu.cl: `apply` of one value or of a vector of them.
//
// Define DOMAIN, RESULT, CALLS and VEC before including this; HALF for floats, TYPE, UTYPE and SIGNED otherwise.
// The function is an argument, uniform over a launch, so that a program serves them all; FUNCTIONS lists a program's own.
// rx580lab/ops/_elementwise_functions.py shares the codes.
#ifndef RX580LAB_ELEMENTWISE_H
#define RX580LAB_ELEMENTWISE_H

#include "activation.h"
#include "storage.h"

#define FLOAT 0 // fp32 arithmetic on fp32 or fp16 storage
#define WHOLE 1 // integers, and bool as bytes of 0 and 1
#define CHOICE 2 // a choice between elements of any kind

// What is in memory; unit: one of the three above.
#ifndef DOMAIN
#define DOMAIN FLOAT
#endif
// What comes out; unit: 0 for the inputs' type, 1 for bool.
#ifndef RESULT
#define RESULT 0
#endif
// 1: the functions that OpenCL's own precise builtins compute, which stay calls on a CPU; 0: those of this file.
#ifndef CALLS
#define CALLS 0
#endif
// Elements per vector; unit: elements, 1 or 16. 16 floats are two AVX2 registers, two chains.
#ifndef VEC
#define VEC 1
#endif
// The elements' type and its unsigned twin where DOMAIN is not FLOAT; SIGNED: whether TYPE is.
#ifndef TYPE
#define TYPE int
#define UTYPE uint
#define SIGNED 1
#endif

enum function {
  NEG, ABS, EXP, LOG, SQRT, RECIPROCAL, FLOOR, CEIL, ROUND, SIGN, ERF, RELU, LEAKY_RELU, CLIP_SCALAR, HARD_SWISH,
  HARD_SWISH_AFFINE, HARD_SIGMOID, GELU, GELU_TANH, SILU, SIGMOID, TANH, ELU, SELU, SOFTPLUS, MISH, SOFTSIGN, THRESHOLDED_RELU,
  SIN, COS, TAN, ASIN, ACOS, ATAN, SINH, COSH, ASINH, ACOSH, ATANH,
  ISNAN, ISINF, NOT, BITWISE_NOT,
  ADD, SUB, MUL, DIV, POW, MIN, MAX, MOD, FMOD, PRELU,
  EQUAL, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL, AND, OR, XOR,
  CLIP, WHERE,
};

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
// TRUTH: a comparison as bool. alpha is 1 there, an argument: from a constant LLVM makes an extension of one-bit vectors,
// which Oclgrind extends by their sign.
#if VEC == 1
#define WIDE(type) type
#define CONVERT(v, type) ((type)(v))
#define TRUTH(mask) ((mask) ? (uchar)alpha : (uchar)0)
#else
#define WIDE(type) JOIN(type, VEC)
#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_convertvector)
#define CONVERT(v, type) __builtin_convertvector(v, WIDE(type))
#else
#define CONVERT(v, type) JOIN(convert_, WIDE(type))(v)
#endif
#define TRUTH(mask) (CONVERT(mask, char) ? (WIDE(uchar))((uchar)alpha) : (WIDE(uchar))(0))
#endif
// One of activation.h's functions, of VEC values.
#define OF(name) JOIN(name##_, VEC)

// a, b, c, alpha, beta: what the expressions of FUNCTIONS are made of.
#define INLINE static inline __attribute__((always_inline))

#if DOMAIN == FLOAT
typedef stored a_type;
typedef stored b_type;
typedef WIDE(float) a_value;
typedef WIDE(float) b_value;
#define SAME stored
#elif DOMAIN == WHOLE
typedef TYPE a_type;
typedef TYPE b_type;
typedef WIDE(TYPE) a_value;
typedef WIDE(TYPE) b_value;
#define SAME TYPE
#else
typedef uchar a_type;
typedef TYPE b_type;
typedef WIDE(uchar) a_value;
typedef WIDE(TYPE) b_value;
#define SAME TYPE
#endif
#if RESULT
typedef uchar out_type;
typedef WIDE(uchar) out_value;
#else
typedef SAME out_type;
typedef b_value out_value;
#endif

#if DOMAIN == FLOAT && !RESULT && !CALLS
typedef WIDE(float) floats;
typedef WIDE(int) ints;

// PoCL (LLVM 14) cannot compile sqrt() of 16 floats on a processor without AVX-512.
#if VEC == 16
#define SQUARE_ROOT(v) ((floats)(sqrt((v).lo), sqrt((v).hi)))
#else
#define SQUARE_ROOT(v) sqrt(v)
#endif

// exp(t) for any t, within 2 units in the last place: as exp.h, with 2^n in two factors, since it may leave fp32.
INLINE floats exp_any(const floats x) {
  const floats t = OF(clip)(x, -104.0f, 89.0f);
  const floats rounded = MAC(t, (floats)(EXP_LOG2E), (floats)(EXP_ROUND));
  const floats n = rounded - (floats)(EXP_ROUND);
  const floats r = MAC(n, (floats)(-EXP_LN2_LOW), MAC(n, (floats)(-EXP_LN2_HIGH), t));
  const floats p = MAC(r, EXP_QUOTIENT(floats, r), (floats)(1.0f));
  const ints whole = JOIN(as_, WIDE(int))(rounded) - JOIN(as_, WIDE(int))((floats)(EXP_ROUND));
  const ints half_of_it = whole >> (ints)(1);
  const floats first = JOIN(as_, WIDE(float))((half_of_it + (ints)(127)) << (ints)(23));
  const floats second = JOIN(as_, WIDE(float))((whole - half_of_it + (ints)(127)) << (ints)(23));
  return p * first * second;
}

// log(x), within 10 u of its size: x = 2^n m with m around 1, and log(m) = 2 atanh((m - 1) / (m + 1)).
INLINE floats log_of(const floats x) {
  const floats y = x < (floats)(0x1p-126f) ? x * (floats)(0x1p23f) : x;
  const floats raised = x < (floats)(0x1p-126f) ? (floats)(-23.0f) : (floats)(0.0f);
  const ints bits = JOIN(as_, WIDE(int))(y);
  const ints whole = (bits - (ints)(0x3f3504f3)) >> (ints)(23); // m in [sqrt(1/2), sqrt(2))
  const floats n = CONVERT(whole, float) + raised;
  const floats m = JOIN(as_, WIDE(float))(bits - (whole << (ints)(23)));
  const floats s = (m - (floats)(1.0f)) / (m + (floats)(1.0f));
  const floats z = s * s;
  floats p = MAC(z, (floats)(1.21226281e-1f), (floats)(1.07219428e-1f));
  p = MAC(z, p, (floats)(1.43076062e-1f));
  p = MAC(z, p, (floats)(1.99994743e-1f));
  p = MAC(z, p, (floats)(3.33333373e-1f));
  const floats low = MAC(n, (floats)(EXP_LN2_LOW), (floats)(2.0f) * MAC(s * z, p, s));
  const floats value = MAC(n, (floats)(EXP_LN2_HIGH), low);
  const floats edge = x == (floats)(0.0f) ? (floats)(-INFINITY) : (floats)(NAN);
  return x > (floats)(0.0f) ? (x == (floats)(INFINITY) ? x : value) : edge;
}

// The nearest whole number, ties to even: from 2^23 on every fp32 is one. Keeps the sign of 0.
INLINE floats round_of(const floats x) {
  const floats size = OF(magnitude)(x);
  const floats near = (size + (floats)(0x1p23f)) - (floats)(0x1p23f);
  return size < (floats)(0x1p23f) ? OF(signed_as)(near, x) : x;
}
INLINE floats floor_of(const floats x) {
  const floats near = round_of(x);
  return near > x ? near - (floats)(1.0f) : near;
}
INLINE floats ceil_of(const floats x) {
  const floats near = round_of(x);
  return near < x ? OF(signed_as)(near + (floats)(1.0f), x) : near;
}

// A NaN of either operand comes through MIN and MAX.
#define FUNCTIONS(CASE)                                                                                                \
  CASE(NEG, -a)                                                                                                        \
  CASE(ABS, OF(magnitude)(a))                                                                                          \
  CASE(EXP, exp_any(a))                                                                                                \
  CASE(LOG, log_of(a))                                                                                                 \
  CASE(SQRT, SQUARE_ROOT(a))                                                                                           \
  CASE(RECIPROCAL, (floats)(1.0f) / a)                                                                                 \
  CASE(FLOOR, floor_of(a))                                                                                             \
  CASE(CEIL, ceil_of(a))                                                                                               \
  CASE(ROUND, round_of(a))                                                                                             \
  CASE(SIGN, a > (floats)(0.0f) ? (floats)(1.0f) : a < (floats)(0.0f) ? (floats)(-1.0f) : a)                           \
  CASE(ERF, OF(erf)(a))                                                                                                \
  CASE(RELU, OF(relu)(a))                                                                                              \
  CASE(LEAKY_RELU, OF(leaky_relu)(a, alpha))                                                                           \
  CASE(CLIP_SCALAR, OF(clip)(a, alpha, beta))                                                                          \
  CASE(HARD_SWISH, OF(hard_swish)(a, alpha, beta))                                                                     \
  CASE(HARD_SWISH_AFFINE, OF(hard_swish_affine)(a, alpha, beta))                                                       \
  CASE(HARD_SIGMOID, OF(hard_sigmoid)(a, alpha, beta))                                                                 \
  CASE(GELU, OF(gelu)(a))                                                                                              \
  CASE(GELU_TANH, OF(gelu_tanh)(a))                                                                                    \
  CASE(SILU, OF(silu)(a))                                                                                              \
  CASE(SIGMOID, OF(sigmoid)(a))                                                                                        \
  CASE(TANH, OF(tanh)(a))                                                                                              \
  CASE(ELU, OF(elu)(a, alpha))                                                                                         \
  CASE(SELU, OF(selu)(a, alpha, beta))                                                                                 \
  CASE(SOFTPLUS, OF(softplus)(a))                                                                                      \
  CASE(MISH, OF(mish)(a))                                                                                              \
  CASE(SOFTSIGN, OF(softsign)(a))                                                                                      \
  CASE(THRESHOLDED_RELU, a <= (floats)(alpha) ? (floats)(0.0f) : a)                                                    \
  CASE(ADD, a + b)                                                                                                     \
  CASE(SUB, a - b)                                                                                                     \
  CASE(MUL, a * b)                                                                                                     \
  CASE(DIV, a / b)                                                                                                     \
  CASE(MIN, ((a < b) | (a != a)) ? a : b)                                                                              \
  CASE(MAX, ((a > b) | (a != a)) ? a : b)                                                                              \
  CASE(PRELU, a < (floats)(0.0f) ? a * b : a)                                                                          \
  CASE(CLIP, (a < b ? b : a) > c ? c : (a < b ? b : a))

#elif DOMAIN == FLOAT && CALLS
#define FUNCTIONS(CASE)                                                                                                \
  CASE(SIN, sin(a))                                                                                                    \
  CASE(COS, cos(a))                                                                                                    \
  CASE(TAN, tan(a))                                                                                                    \
  CASE(ASIN, asin(a))                                                                                                  \
  CASE(ACOS, acos(a))                                                                                                  \
  CASE(ATAN, atan(a))                                                                                                  \
  CASE(SINH, sinh(a))                                                                                                  \
  CASE(COSH, cosh(a))                                                                                                  \
  CASE(ASINH, asinh(a))                                                                                                \
  CASE(ACOSH, acosh(a))                                                                                                \
  CASE(ATANH, atanh(a))                                                                                                \
  CASE(POW, pow(a, b))                                                                                                 \
  CASE(FMOD, fmod(a, b))

#elif DOMAIN == CHOICE
#if VEC == 1
#define FUNCTIONS(CASE) CASE(WHERE, a ? b : c)
#else
#define FUNCTIONS(CASE) CASE(WHERE, (CONVERT(a, TYPE) != (b_value)(0)) ? b : c)
#endif

#elif !RESULT
#include "elementwise_whole.h"
#endif

#if RESULT
#define ORDERED(CASE)                                                                                                  \
  CASE(EQUAL, TRUTH(a == b))                                                                                           \
  CASE(LESS, TRUTH(a < b))                                                                                             \
  CASE(LESS_OR_EQUAL, TRUTH(a <= b))                                                                                   \
  CASE(GREATER, TRUTH(a > b))                                                                                          \
  CASE(GREATER_OR_EQUAL, TRUTH(a >= b))
#if DOMAIN == FLOAT
#define FUNCTIONS(CASE)                                                                                                \
  CASE(ISNAN, TRUTH(a != a))                                                                                           \
  CASE(ISINF, TRUTH(OF(magnitude)(a) == (a_value)(INFINITY)))                                                          \
  ORDERED(CASE)
#else
#define FUNCTIONS(CASE) ORDERED(CASE)
#endif
#endif

// One element or vector. A code that is not in this program's list gives zeros; the launcher never asks for one.
static out_value apply(const int function, const a_value a, const b_value b, const b_value c, const float alpha,
                       const float beta) {
#define RETURN(name, value)                                                                                            \
  case name:                                                                                                           \
    return value;
  switch (function) {
    FUNCTIONS(RETURN)
    default: return (out_value)(0);
  }
}

#endif
