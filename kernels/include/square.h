// A 4 x 4 square of floats in four registers, turned over its diagonal by shuffles of whole registers.
#ifndef RX580LAB_SQUARE_H
#define RX580LAB_SQUARE_H

// By clang's own shuffle where there is one: of single lanes it makes shuffles with undefined lanes on the way, and
// Oclgrind's uninitialized check crashes on those.
#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_shufflevector)
#define SQUARE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define SQUARE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#else
#define SQUARE_LOW(a, b) ((float4)(a.x, b.x, a.y, b.y))
#define SQUARE_HIGH(a, b) ((float4)(a.z, b.z, a.w, b.w))
#endif

// Defines <c>0 ... <c>3, the columns of the rows r0 ... r3.
#define TURN_SQUARE(c, r0, r1, r2, r3)                                                                                 \
  const float4 c##_a = SQUARE_LOW(r0, r2), c##_b = SQUARE_LOW(r1, r3);                                                 \
  const float4 c##_c = SQUARE_HIGH(r0, r2), c##_d = SQUARE_HIGH(r1, r3);                                               \
  const float4 c##0 = SQUARE_LOW(c##_a, c##_b), c##1 = SQUARE_HIGH(c##_a, c##_b);                                      \
  const float4 c##2 = SQUARE_LOW(c##_c, c##_d), c##3 = SQUARE_HIGH(c##_c, c##_d);

#endif
