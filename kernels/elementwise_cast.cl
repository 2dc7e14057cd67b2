// out = a, converted to another type, element by element: the cast of elementwise.
//
// Shapes: a (n), out (n). FROM is a's type, `to` the launch's: a program serves all targets. A float becomes an integer
// by truncation, beyond its range the nearest end of the range, NaN 0; an integer too wide for its target wraps; an
// integer becomes a float by rounding to the nearest, ties to even; bool is 1 for whatever is not 0, NaN too.
// cast_plain: one element per work-item; cast_cpu: work-groups of one that walk TILE elements.

#define F32 0
#define F16 1
#define I32 2
#define I64 3
#define U8 4
#define I8 5
#define BOOL 6

// The type in memory; unit: one of the seven above.
#ifndef FROM
#define FROM F32
#endif
// Elements per work-item of cast_cpu; unit: elements.
#ifndef TILE
#define TILE 32768
#endif

#define HALF 1 // of READ and WRITE, where a side is F16
#include "storage.h"

#if FROM == F32
typedef float from_type;
typedef float value_type;
#elif FROM == F16
typedef stored from_type;
typedef float value_type;
#elif FROM == I32
typedef int from_type;
typedef int value_type;
#elif FROM == I64
typedef long from_type;
typedef long value_type;
#elif FROM == U8 || FROM == BOOL
typedef uchar from_type;
typedef uchar value_type;
#else
typedef char from_type;
typedef char value_type;
#endif

static inline value_type get(const __global from_type *p) {
#if FROM == F16
  return READ(p);
#else
  return *p;
#endif
}

// An integer of `low` to `high`; above is the first float beyond high.
#if FROM == F32 || FROM == F16
#define WHOLE(type, v, low, high, above)                                                                               \
  ((v) >= (above) ? (type)(high) : (v) > (float)(low) ? (type)(v) : (v) <= (float)(low) ? (type)(low) : (type)(0))
#else
#define WHOLE(type, v, low, high, above) ((type)(v))
#endif

#define STORE_AS(type, v) ((__global type *)out)[i] = (v)
#define CONVERT_TO(each)                                                                                               \
  switch (to) {                                                                                                        \
    case F32: each(STORE_AS(float, (float)x)); break;                                                                  \
    case F16: each(WRITE((float)x, (__global stored *)out + i)); break;                                                \
    case I32: each(STORE_AS(int, WHOLE(int, x, INT_MIN, INT_MAX, 0x1p31f))); break;                                    \
    case I64: each(STORE_AS(long, WHOLE(long, x, LONG_MIN, LONG_MAX, 0x1p63f))); break;                                \
    case U8: each(STORE_AS(uchar, WHOLE(uchar, x, 0, 255, 256.0f))); break;                                            \
    case I8: each(STORE_AS(char, WHOLE(char, x, -128, 127, 128.0f))); break;                                           \
    default: each(STORE_AS(uchar, x != 0 ? 1 : 0)); break;                                                             \
  }

#define HERE(store)                                                                                                    \
  {                                                                                                                    \
    const value_type x = get(a + i);                                                                                   \
    store;                                                                                                             \
  }
__kernel void cast_plain(const __global from_type *a, __global uchar *out, const int to, const uint n) {
  const uint i = get_global_id(0);
  if (i >= n) {
    return;
  }
  CONVERT_TO(HERE)
}

#define WALK(store)                                                                                                    \
  for (uint i = first; i < end; ++i) {                                                                                 \
    const value_type x = get(a + i);                                                                                   \
    store;                                                                                                             \
  }
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void cast_cpu(const __global from_type *a, __global uchar *out,
                                                                      const int to, const uint n) {
  const uint first = get_group_id(0) * TILE;
  const uint end = min(first + TILE, n);
  CONVERT_TO(WALK)
}
