// elementwise for processors with vector registers and caches: one work-item is one core's worth of loop.
//
// Shapes, types and functions as in elementwise.cl, but for those that are calls. Work-groups of one. A work-item takes
// TILE elements of rows_per_item runs along axis 0, in vectors; an operand that repeats there is read once per run.

// Elements per vector; unit: elements. 16 floats are two AVX2 registers, two chains.
#ifndef VEC
#define VEC 16
#endif
// Elements of a run that a work-item takes; unit: elements. Enough to make a launch's cost vanish, and to feed all cores.
#ifndef TILE
#define TILE 32768
#endif
// From this size on, stores bypass the caches; unit: elements. Out is then far larger than any cache.
#ifndef STREAM_FROM
#define STREAM_FROM 8388608
#endif

#include "broadcast.h"
#include "elementwise.h"

// Vectors in memory, of any alignment.
#if DOMAIN == WHOLE
typedef WIDE(TYPE) a_loose __attribute__((aligned(1)));
#else
typedef WIDE(uchar) a_loose __attribute__((aligned(1)));
#endif
#if DOMAIN != FLOAT
typedef WIDE(TYPE) b_loose __attribute__((aligned(1)));
#endif
#if RESULT
typedef WIDE(uchar) out_loose __attribute__((aligned(1)));
#elif DOMAIN != FLOAT
typedef b_loose out_loose;
#endif

#if DOMAIN == FLOAT
#define LOAD_A(p) JOIN(READ, VEC)(p)
#define LOAD_B(p) JOIN(READ, VEC)(p)
#define ONE_A(p) READ(p)
#define ONE_B(p) READ(p)
#else
#define LOAD_A(p) (*(const __global a_loose *)(p))
#define LOAD_B(p) (*(const __global b_loose *)(p))
#define ONE_A(p) (*(p))
#define ONE_B(p) (*(p))
#endif
#if DOMAIN == FLOAT && !RESULT
#define STORE_OUT(v, p) JOIN(WRITE, VEC)(v, p)
#define STORE_ONE(v, p) WRITE(v, p)
#else
#define STORE_OUT(v, p) (*(__global out_loose *)(p) = (v))
#define STORE_ONE(v, p) (*(p) = (v))
#endif

// Stores past the caches, which saves reading each line before it is overwritten.
#if DOMAIN == FLOAT && !RESULT && !HALF && __has_builtin(__builtin_nontemporal_store)
#define STREAM_OUT(v, p) __builtin_nontemporal_store(v, (__global WIDE(float) *)(p))
#else
#define STREAM_OUT(v, p) STORE_OUT(v, p)
#endif

// The lanes of a vector, for the ends of a run: of the type that arithmetic has, not of the one in memory.
#if DOMAIN == FLOAT
typedef float a_lane;
typedef float b_lane;
#else
typedef a_type a_lane;
typedef b_type b_lane;
#endif
#if RESULT
typedef uchar out_lane;
#else
typedef b_lane out_lane;
#endif

// The first `count` of VEC elements at p; the other lanes hold the first once more, so that nothing odd is computed.
#define DEFINE_PART(name, value, lane, type, ONE)                                                                      \
  static value name(const __global type *p, const uint count) {                                                        \
    lane lanes[VEC] __attribute__((aligned(sizeof(value))));                                                           \
    const lane first = ONE(p);                                                                                         \
    for (uint k = 0; k < VEC; ++k) {                                                                                   \
      lanes[k] = k < count ? ONE(p + k) : first;                                                                       \
    }                                                                                                                  \
    return *(const value *)lanes;                                                                                      \
  }
DEFINE_PART(part_a, a_value, a_lane, a_type, ONE_A)
DEFINE_PART(part_b, b_value, b_lane, b_type, ONE_B)

static void store_part(const out_value v, __global out_type *p, const uint count) {
  out_lane lanes[VEC] __attribute__((aligned(sizeof(out_value))));
  *(out_value *)lanes = v;
  for (uint k = 0; k < count; ++k) {
    STORE_ONE(lanes[k], p + k);
  }
}

// An end of a run: fewer than VEC elements.
static void edge(const __global a_type *from_a, const __global b_type *from_b, const __global b_type *from_c,
                 __global out_type *out, const uint count, const uint a0, const uint b0, const uint c0,
                 const int function, const float alpha, const float beta) {
  const a_value a = part_a(from_a, a0 ? count : 1);
  const b_value b = part_b(from_b, b0 ? count : 1);
  const b_value c = part_b(from_c, c0 ? count : 1);
  store_part(apply(function, a, b, c, alpha, beta), out, count);
}

// What a turn of a function's loop does: the operands that move, then the result.
#define WALK(name, value)                                                                                              \
  case name:                                                                                                           \
    for (; i + VEC <= n; i += VEC) {                                                                                   \
      if (a0) {                                                                                                        \
        a = LOAD_A(from_a + i);                                                                                        \
      }                                                                                                                \
      if (b0) {                                                                                                        \
        b = LOAD_B(from_b + i);                                                                                        \
      }                                                                                                                \
      if (c0) {                                                                                                        \
        c = LOAD_B(from_c + i);                                                                                        \
      }                                                                                                                \
      const out_value v = value;                                                                                       \
      if (stream) {                                                                                                    \
        STREAM_OUT(v, out + i);                                                                                        \
      } else {                                                                                                         \
        STORE_OUT(v, out + i);                                                                                         \
      }                                                                                                                \
    }                                                                                                                  \
    break;

// One run along axis 0. Where stores stream, it begins with what comes before out's first aligned vector.
INLINE void run(const __global a_type *from_a, const __global b_type *from_b, const __global b_type *from_c,
                __global out_type *out, const uint n, const uint a0, const uint b0, const uint c0, const int function,
                const float alpha, const float beta, const uint stream) {
  uint i = 0;
  const uint lead = stream && n >= VEC ? (uint)(-((size_t)out / sizeof(out_type))) % VEC : 0;
  if (n >= VEC) {
    a_value a = (a_value)(ONE_A(from_a));
    b_value b = (b_value)(ONE_B(from_b)), c = (b_value)(ONE_B(from_c));
    i = lead;
    switch (function) { FUNCTIONS(WALK) }
  }
  if (lead) {
    edge(from_a, from_b, from_c, out, lead, a0, b0, c0, function, alpha, beta);
  }
  if (i < n) {
    edge(from_a + (a0 ? i : 0), from_b + (b0 ? i : 0), from_c + (c0 ? i : 0), out + i, n - i, a0, b0, c0, function,
         alpha, beta);
  }
}

// NDRange: (ceil(n0 / TILE), ceil(n_rows / rows_per_item)), n_rows the product of the other axes.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
elementwise_cpu(const __global a_type *a, const __global b_type *b, const __global b_type *c, __global out_type *out,
                const int function, const float alpha, const float beta, const uint n_rows,
                const uint rows_per_item, BROADCAST_ARGUMENTS) {
  const uint stream = n0 * n_rows >= STREAM_FROM;
  const uint first = get_group_id(0) * TILE;
  const uint width = min((uint)TILE, n0 - first);
  uint row = get_group_id(1) * rows_per_item;
  const uint end = min(row + rows_per_item, n_rows);
  while (row < end) { // once for each index of the axes beyond 1
    uint at_a = a_base + (a0 ? first : 0), at_b = b_base + (b0 ? first : 0), at_c = c_base + (c0 ? first : 0);
    uint rest = row / n1;
    const uint along = row - rest * n1;
    const uint stop = min(end, row + n1 - along);
    BROADCAST_STEP(2)
    BROADCAST_STEP(3)
    BROADCAST_STEP(4)
    at_a += along * a1;
    at_b += along * b1;
    at_c += along * c1;
    for (; row < stop; ++row, at_a += a1, at_b += b1, at_c += c1) {
      __global out_type *to = out + out_base + (size_t)row * n0 + first;
      run(a + at_a, b + at_b, c + at_c, to, width, a0, b0, c0, function, alpha, beta, stream);
    }
  }
}
