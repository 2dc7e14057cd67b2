// The integer functions of elementwise.h, which includes this where DOMAIN is WHOLE and RESULT is 0.
//
// Sums, differences, products and negations wrap, by way of the unsigned twin. Quotients truncate. A division by 0 gives
// 0 and the lowest value by -1 itself: a processor would trap on either, so neither reaches its division.
#ifndef RX580LAB_ELEMENTWISE_WHOLE_H
#define RX580LAB_ELEMENTWISE_WHOLE_H

typedef a_value whole;
#if VEC == 1
#define WRAPPED(v) ((TYPE)(v))
#define UNSIGNED(v) ((UTYPE)(v))
#else
#define WRAPPED(v) JOIN(as_, WIDE(TYPE))(v)
#define UNSIGNED(v) JOIN(as_, WIDE(UTYPE))(v)
#endif
#define ZERO ((whole)(0))
#define ONE ((whole)(1))
#define NEGATED(v) WRAPPED((UNSIGNED(ZERO) - UNSIGNED(v)))

static whole quotient_of(const whole a, const whole b) {
#if SIGNED
  const whole safe = ((b == ZERO) | (b == (whole)(-1))) ? ONE : b;
  const whole value = a / safe;
  return b == ZERO ? ZERO : b == (whole)(-1) ? NEGATED(a) : value;
#else
  const whole value = a / (b == ZERO ? ONE : b);
  return b == ZERO ? ZERO : value;
#endif
}

// With the sign of a, as C has it.
INLINE whole remainder_of(const whole a, const whole b) {
  const whole value = WRAPPED(UNSIGNED(a) - UNSIGNED(quotient_of(a, b)) * UNSIGNED(b));
  return b == ZERO ? ZERO : value;
}

// With the sign of b, as Python has it.
INLINE whole modulo_of(const whole a, const whole b) {
  const whole r = remainder_of(a, b);
#if SIGNED
  const whole other_side = (r ^ b) < ZERO ? b : ZERO;
  return r == ZERO ? ZERO : r + other_side;
#else
  return r;
#endif
}

INLINE whole sign_of(const whole a) { return a > ZERO ? ONE : a < ZERO ? (whole)(-1) : ZERO; }

// Not as a choice between a and -a: LLVM makes an intrinsic of that which Oclgrind does not know.
INLINE whole absolute_of(const whole a) { return WRAPPED(UNSIGNED(a) * UNSIGNED(sign_of(a))); }

// By squaring; wraps. A negative exponent leaves what truncation does of a fraction: 0, but for a base of 1 or -1.
#if VEC == 1
INLINE whole power_of(const whole a, const whole b) {
#if SIGNED
  if (b < 0) {
    return a == 1 ? ONE : a != -1 ? ZERO : b & 1 ? (whole)(-1) : ONE;
  }
#endif
  UTYPE value = 1, factor = (UTYPE)a;
  const UTYPE exponent = (UTYPE)b;
  // Written out, for each bit of an exponent: a card multiplies whole numbers at a quarter of its rate, and no loop
  // should hide that.
#pragma unroll
  for (int bit = 0; bit < 8 * (int)sizeof(UTYPE); bit++) {
    value *= exponent >> bit & 1 ? factor : (UTYPE)1;
    factor *= factor;
  }
  return (whole)value;
}
#define POWERS(CASE) CASE(POW, power_of(a, b))
#else
#define POWERS(CASE)
#endif

#define FUNCTIONS(CASE)                                                                                                \
  CASE(NEG, NEGATED(a))                                                                                                \
  CASE(ABS, absolute_of(a))                                                                                            \
  CASE(SIGN, sign_of(a))                                                                                               \
  CASE(RELU, a < ZERO ? ZERO : a)                                                                                      \
  CASE(NOT, a ^ ONE)                                                                                                   \
  CASE(BITWISE_NOT, ~a)                                                                                                \
  CASE(ADD, WRAPPED(UNSIGNED(a) + UNSIGNED(b)))                                                                        \
  CASE(SUB, WRAPPED(UNSIGNED(a) - UNSIGNED(b)))                                                                        \
  CASE(MUL, WRAPPED(UNSIGNED(a) * UNSIGNED(b)))                                                                        \
  CASE(DIV, quotient_of(a, b))                                                                                         \
  CASE(MIN, a < b ? a : b)                                                                                             \
  CASE(MAX, a > b ? a : b)                                                                                             \
  CASE(MOD, modulo_of(a, b))                                                                                           \
  CASE(FMOD, remainder_of(a, b))                                                                                       \
  CASE(AND, a & b)                                                                                                     \
  CASE(OR, a | b)                                                                                                      \
  CASE(XOR, a ^ b)                                                                                                     \
  POWERS(CASE)                                                                                                         \
  CASE(CLIP, (a < b ? b : a) > c ? c : (a < b ? b : a))

#endif
