// transpose for processors: blocks are turned in vector registers, and rows that stay whole move as rows.
//
// Two ways, by whether the innermost axis (joined and widened as walk.h says) stays innermost:
//   transpose_cpu          it stays: rows move, as in rows.h
//   transpose_cpu_planes   it moves: a plane has P rows, p_step apart in x, of Q neighbours; in out it has Q rows, q_step
//                          apart, of P neighbours. n, source, target: the axes beside the plane. NDRange: (tiles of Q,
//                          tiles of P, shares of planes) in groups of one.
// A tile is a few hundred elements square: its pages fit into the translation buffers. In it, blocks of SIDE x SIDE go
// along x's rows, and a line of cache of every out row is filled before the next is begun.

#include "rows.h"

#if ITEM_BYTES <= 4
#define SIDE 8
#else
#define SIDE 4
#endif
// Elements of a line of cache.
#define LINE (64 / ITEM_BYTES)

#if ITEM_BYTES == 1
typedef uchar8 lanes;
#elif ITEM_BYTES == 2
typedef ushort8 lanes;
#elif ITEM_BYTES == 4
typedef uint8 lanes;
#elif ITEM_BYTES == 8
typedef ulong4 lanes;
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void transpose_cpu(const __global element *x,
                                                                           __global element *out, WALK_ARGUMENTS,
                                                                           const uint rows_per_item, const uint width,
                                                                           const int stream) {
  walk_rows(x, out, n_rows, n_columns, start, step, n, source, target, rows_per_item, width, stream);
}

#if ITEM_BYTES <= 8
typedef lanes lanes_u __attribute__((aligned(ITEM_BYTES)));
#define LOAD_LANES(p) (*(const __global lanes_u *)(p))
#define STORE_LANES(v, p) (*(__global lanes_u *)(p) = (v))
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM_LANES(v, p) __builtin_nontemporal_store(v, (__global lanes *)(p))
#else
#define STREAM_LANES(v, p) STORE_LANES(v, p)
#endif

// The halves of a and b, lane by lane in turn. log2(SIDE) rounds of it, each over rows SIDE / 2 apart, turn a block.
#if SIDE == 8
#define LOW(a, b) (lanes)((a).s0, (b).s0, (a).s1, (b).s1, (a).s2, (b).s2, (a).s3, (b).s3)
#define HIGH(a, b) (lanes)((a).s4, (b).s4, (a).s5, (b).s5, (a).s6, (b).s6, (a).s7, (b).s7)
#define ROUND(a, b)                                                                                                    \
  const lanes b##0 = LOW(a##0, a##4), b##1 = HIGH(a##0, a##4), b##2 = LOW(a##1, a##5), b##3 = HIGH(a##1, a##5);        \
  const lanes b##4 = LOW(a##2, a##6), b##5 = HIGH(a##2, a##6), b##6 = LOW(a##3, a##7), b##7 = HIGH(a##3, a##7);
#else
#define LOW(a, b) (lanes)((a).s0, (b).s0, (a).s1, (b).s1)
#define HIGH(a, b) (lanes)((a).s2, (b).s2, (a).s3, (b).s3)
#define ROUND(a, b)                                                                                                    \
  const lanes b##0 = LOW(a##0, a##2), b##1 = HIGH(a##0, a##2), b##2 = LOW(a##1, a##3), b##3 = HIGH(a##1, a##3);
#endif

#define PUT_BLOCK(PUT, c)                                                                                              \
  PUT(c##0, to);                                                                                                       \
  PUT(c##1, to + q_step);                                                                                              \
  PUT(c##2, to + 2 * q_step);                                                                                          \
  PUT(c##3, to + 3 * q_step);

static inline __attribute__((always_inline)) void turn_block(const __global element *from, __global element *to,
                                                             const size_t p_step, const size_t q_step,
                                                             const int stream) {
  const lanes a0 = LOAD_LANES(from), a1 = LOAD_LANES(from + p_step);
  const lanes a2 = LOAD_LANES(from + 2 * p_step), a3 = LOAD_LANES(from + 3 * p_step);
#if SIDE == 8
  const lanes a4 = LOAD_LANES(from + 4 * p_step), a5 = LOAD_LANES(from + 5 * p_step);
  const lanes a6 = LOAD_LANES(from + 6 * p_step), a7 = LOAD_LANES(from + 7 * p_step);
#endif
  ROUND(a, b)
  ROUND(b, c)
#if SIDE == 8
  ROUND(c, d)
  if (stream) {
    PUT_BLOCK(STREAM_LANES, d)
    to += 4 * q_step;
    STREAM_LANES(d4, to);
    STREAM_LANES(d5, to + q_step);
    STREAM_LANES(d6, to + 2 * q_step);
    STREAM_LANES(d7, to + 3 * q_step);
  } else {
    PUT_BLOCK(STORE_LANES, d)
    to += 4 * q_step;
    STORE_LANES(d4, to);
    STORE_LANES(d5, to + q_step);
    STORE_LANES(d6, to + 2 * q_step);
    STORE_LANES(d7, to + 3 * q_step);
  }
#else
  if (stream) {
    PUT_BLOCK(STREAM_LANES, c)
  } else {
    PUT_BLOCK(STORE_LANES, c)
  }
#endif
}
#else
#define turn_block(from, to, p_step, q_step, stream)                                                                   \
  for (uint i = 0; i < SIDE; ++i) {                                                                                    \
    copy_strided((from) + i * (p_step), (to) + i, SIDE, (int2)(1, (int)(q_step)));                                     \
  }
#endif

// p rows of q elements into q rows of p elements. Blocks that would stick out are moved back: the same bits twice.
static inline void turn_tile(const __global element *from, __global element *to, const uint n_p, const uint n_q,
                             const size_t p_step, const size_t q_step, const int stream) {
  if (n_p < SIDE || n_q < SIDE) { // too thin for blocks
    if (n_p < n_q) {
      for (uint p = 0; p < n_p; ++p) {
        copy_strided(from + p * p_step, to + p, n_q, (int2)(1, (int)q_step));
      }
    } else {
      for (uint q = 0; q < n_q; ++q) {
        copy_strided(from + q, to + q * q_step, n_p, (int2)((int)p_step, 1));
      }
    }
    return;
  }
  for (uint p0 = 0; p0 < n_p; p0 += LINE) {
    for (uint q0 = 0; q0 < n_q; q0 += SIDE) {
      const uint q = min(q0, n_q - SIDE);
      for (uint p1 = p0; p1 < min(p0 + LINE, n_p); p1 += SIDE) {
        const uint p = min(p1, n_p - SIDE);
        turn_block(from + p * p_step + q, to + q * q_step + p, p_step, q_step, stream);
      }
    }
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
transpose_cpu_planes(const __global element *x, __global element *out, const uint n_planes, const uint n_p,
                     const uint n_q, const uint p_step, const uint q_step, const uint8 n, const int8 source,
                     const int8 target, const uint planes_per_item, const uint tile_p, const uint tile_q,
                     const int stream) {
  const uint q = get_group_id(0) * tile_q, p = get_group_id(1) * tile_p;
  x += (size_t)p * p_step + q;
  out += (size_t)q * q_step + p;
  const uint first = get_group_id(2) * planes_per_item;
  for (uint plane = first; plane < min(first + planes_per_item, n_planes); ++plane) {
    const int2 at = walk_to(plane, n, source, target);
    turn_tile(x + at.x, out + at.y, min(tile_p, n_p - p), min(tile_q, n_q - q), p_step, q_step, stream);
  }
}
