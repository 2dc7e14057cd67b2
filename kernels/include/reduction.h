// What the kernels of reduce have in common: types, what becomes of an element, how two values join, what comes out.
//
// Define VEC before including this: elements per vector, 1 or 16. The input is (O,R,I), row-major: R is reduced.
#ifndef RX580LAB_REDUCTION_H
#define RX580LAB_REDUCTION_H

#include "exp.h"

#define SUM 0
#define MAX 1
#define MIN 2
#define PROD 3

// How values join; unit: one of the four above.
#ifndef COMBINE
#define COMBINE SUM
#endif
// What becomes of an element first; unit: 0 itself, 1 its size, 2 its square, 3 exp(x - m) with m of the m array.
#ifndef MAP
#define MAP 0
#endif
// 1: the input, or the output, is fp16 in memory; 0: it is VALUE.
#ifndef IN_HALF
#define IN_HALF 0
#endif
#ifndef OUT_HALF
#define OUT_HALF 0
#endif
// The type of arithmetic: float, or an integer with its unsigned twin, lowest and highest value. WHOLE: whether it is one.
#ifndef WHOLE
#define WHOLE 0
#define VALUE float
#define LOWEST (-INFINITY)
#define HIGHEST INFINITY
#endif

#define HALF (IN_HALF || OUT_HALF)
#include "storage.h"

#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
typedef GLUE(VALUE, 16) values;
typedef values values_loose __attribute__((aligned(1)));

#if IN_HALF
typedef stored in_type;
#define GET(p) READ(p)
#define GET16(p) READ16(p)
#else
typedef VALUE in_type;
#define GET(p) (*(p))
#define GET16(p) (*(const __global values_loose *)(p))
#endif
#if OUT_HALF
typedef stored out_type;
#define PUT(v, p) WRITE(v, p)
#else
typedef VALUE out_type;
#define PUT(v, p) (*(p) = (v))
#endif

// Sums and products of integers wrap, by way of the unsigned twin. A NaN comes through MAX and MIN.
#if WHOLE
typedef GLUE(UVALUE, 16) unsigned_values;
#define WRAP(a, OP, b) ((VALUE)((UVALUE)(a)OP(UVALUE)(b)))
#define WRAP16(a, OP, b) GLUE(as_, GLUE(VALUE, 16))(GLUE(as_, GLUE(UVALUE, 16))(a) OP GLUE(as_, GLUE(UVALUE, 16))(b))
#else
#define WRAP(a, OP, b) ((a)OP(b))
#define WRAP16(a, OP, b) ((a)OP(b))
#endif

#if COMBINE == SUM
#define NOTHING ((VALUE)(0))
#define JOINED(a, b) WRAP(a, +, b)
#define JOINED16(a, b) WRAP16(a, +, b)
#elif COMBINE == PROD
#define NOTHING ((VALUE)(1))
#define JOINED(a, b) WRAP(a, *, b)
#define JOINED16(a, b) WRAP16(a, *, b)
#elif COMBINE == MAX
#define NOTHING ((VALUE)(LOWEST))
#define JOINED(a, b) ((((a) > (b)) | ((a) != (a))) ? (a) : (b))
#define JOINED16(a, b) JOINED(a, b)
#else
#define NOTHING ((VALUE)(HIGHEST))
#define JOINED(a, b) ((((a) < (b)) | ((a) != (a))) ? (a) : (b))
#define JOINED16(a, b) JOINED(a, b)
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE VALUE joined(const VALUE a, const VALUE b) { return JOINED(a, b); }
INLINE values joined16(const values a, const values b) { return JOINED16(a, b); }

#if MAP == 3
DEFINE_EXP(exp_of, float, int)
DEFINE_EXP(exp_of16, float16, int16)
#endif
// shift: what MAP 3 takes off; a vector where each lane has its own.
INLINE VALUE mapped(const VALUE x, const VALUE shift) {
#if MAP == 1 && WHOLE
  return WRAP(x, *, (x > 0) - (x < 0)); // not as a choice: Oclgrind does not know the intrinsic that this becomes
#elif MAP == 1
  return fabs(x);
#elif MAP == 2
  return WRAP(x, *, x);
#elif MAP == 3
  return exp_of(x - shift);
#else
  return x;
#endif
}
INLINE values mapped16(const values x, const values shift) {
#if MAP == 1 && WHOLE
  const values sign = x > (values)(0) ? (values)(1) : x < (values)(0) ? (values)(-1) : (values)(0);
  return WRAP16(x, *, sign);
#elif MAP == 1
  return as_float16(as_int16(x) & (int16)(0x7fffffff));
#elif MAP == 2
  return WRAP16(x, *, x);
#elif MAP == 3
  return exp_of16(x - shift);
#else
  return x;
#endif
}

// From an infinite maximum comes NaN, which does not matter: `finished` answers with the maximum itself.
INLINE VALUE shift_of(const __global VALUE *m) {
#if MAP == 3
  return *m;
#else
  return 0;
#endif
}

// Whether v at place r beats the best so far at `place`: it is larger (smaller where COMBINE is MIN) or the first NaN; of
// equal ones the earlier wins, or the later if `last`.
INLINE int beats(const VALUE v, const uint r, const VALUE best, const uint place, const int last) {
#if COMBINE == MIN
  const int better = v < best;
#else
  const int better = v > best;
#endif
  const int odd = v != v, best_is_odd = best != best;
  const int alike = (v == best) | (odd & best_is_odd);
  return (better & !best_is_odd) | (odd & !best_is_odd) | (alike & (last ? r > place : r < place));
}

// finish: 0 nothing, 1 a division by `divisor`, 2 the square root, 3 log(v) + m.
INLINE VALUE finished(const VALUE v, const int finish, const float divisor, const __global VALUE *m) {
#if WHOLE
  return v;
#else
  switch (finish) {
    case 1: return v / divisor;
    case 2: return sqrt(v);
    case 3: return fabs(*m) < INFINITY ? log(v) + *m : *m;
    default: return v;
  }
#endif
}

#endif
