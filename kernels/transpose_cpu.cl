// transpose for processors: blocks are turned in vector registers, and rows that stay whole move as rows.
//
// Two ways, by whether the innermost axis (joined and widened as walk.h says) stays innermost:
//   transpose_cpu          it stays: rows move, as in rows.h
//   transpose_cpu_planes   it moves: a plane has P rows, p_step apart in x, of Q neighbours; in out it has Q rows,
//                          q_step apart, of P neighbours. n, source, target: the axes beside the plane. NDRange:
//                          (tiles of Q, tiles of P, shares of planes) in groups of one.
// A tile is a few hundred elements square: its pages fit into the translation buffers. In it, blocks of SIDE x SIDE go
// along x's rows, and a line of cache of every out row is filled before the next is begun.

#include "rows.h"

// Side of a block; unit: elements. Its rows are 16 bytes, of 4- and 8-byte elements 32.
#if ITEM_BYTES == 1
#define SIDE 16
#elif ITEM_BYTES <= 4
#define SIDE 8
#else
#define SIDE 4
#endif
// Elements of a line of cache.
#define LINE (64 / ITEM_BYTES)

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void transpose_cpu(const __global element *x,
                                                                           __global element *out, WALK_ARGUMENTS,
                                                                           const uint rows_per_item, const uint width,
                                                                           const int stream) {
  walk_rows(x, out, n_rows, n_columns, start, step, n, source, target, rows_per_item, width, stream);
}

#if ITEM_BYTES <= 8
#if ITEM_BYTES == 8
typedef ulong4 lanes;
#else
typedef uint4 lanes;
#endif
typedef lanes lanes_u __attribute__((aligned(ITEM_BYTES)));
#define LOAD_LANES(p) (*(const __global lanes_u *)(p))
#define STORE_LANES(v, p) (*(__global lanes_u *)(p) = (v))
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM_LANES(v, p) __builtin_nontemporal_store(v, (__global lanes *)(p))
#else
#define STREAM_LANES(v, p) STORE_LANES(v, p)
#endif

// The lower and the upper halves of a and b, lane by lane in turn: two rounds over four rows of four turn them. By
// clang's own shuffle where there is one: of single lanes it makes shuffles with undefined lanes on the way, and
// Oclgrind's uninitialized check crashes on those.
#if __has_builtin(__builtin_shufflevector)
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#else
#define LOW(a, b) (lanes)((a).s0, (b).s0, (a).s1, (b).s1)
#define HIGH(a, b) (lanes)((a).s2, (b).s2, (a).s3, (b).s3)
#endif

// Four rows of four lanes, turned, go to every `every`-th row of `to`.
#define TURN_4(PUT, r0, r1, r2, r3, to, every)                                                                         \
  do {                                                                                                                 \
    const lanes in0 = r0, in1 = r1, in2 = r2, in3 = r3;                                                                \
    const lanes low0 = LOW(in0, in2), low1 = LOW(in1, in3), high0 = HIGH(in0, in2), high1 = HIGH(in1, in3);            \
    PUT(LOW(low0, low1), to);                                                                                          \
    PUT(HIGH(low0, low1), (to) + (every));                                                                             \
    PUT(LOW(high0, high1), (to) + 2 * (every));                                                                        \
    PUT(HIGH(high0, high1), (to) + 3 * (every));                                                                       \
  } while (0)

// Of elements smaller than a lane, the even (odd) ones of two rows, beside each other: a's below b's.
#define EVEN_2(a, b) (((a) & 0xffffu) | ((b) << 16))
#define ODD_2(a, b) (((a) >> 16) | ((b) & 0xffff0000u))
#define EVEN_1(a, b) (((a) & 0x00ff00ffu) | (((b) & 0x00ff00ffu) << 8))
#define ODD_1(a, b) ((((a) >> 8) & 0x00ff00ffu) | ((b) & 0xff00ff00u))

#define ROW(k) LOAD_LANES(from + (k) * p_step)
#if ITEM_BYTES == 4
#define QUARTER(PUT, p, q)                                                                                             \
  TURN_4(PUT, LOAD_LANES(from + (p) * p_step + q), LOAD_LANES(from + (p + 1) * p_step + q),                            \
         LOAD_LANES(from + (p + 2) * p_step + q), LOAD_LANES(from + (p + 3) * p_step + q), to + (q) * q_step + p,      \
         q_step)
#define TURN(PUT)                                                                                                      \
  QUARTER(PUT, 0, 0);                                                                                                  \
  QUARTER(PUT, 4, 0);                                                                                                  \
  QUARTER(PUT, 0, 4);                                                                                                  \
  QUARTER(PUT, 4, 4);
#elif ITEM_BYTES == 8
#define TURN(PUT)                                                                                                      \
  const lanes r0 = ROW(0), r1 = ROW(1), r2 = ROW(2), r3 = ROW(3);                                                      \
  TURN_4(PUT, r0, r1, r2, r3, to, q_step);
#elif ITEM_BYTES == 2
#define TURN(PUT)                                                                                                      \
  const lanes r0 = ROW(0), r1 = ROW(1), r2 = ROW(2), r3 = ROW(3), r4 = ROW(4), r5 = ROW(5), r6 = ROW(6), r7 = ROW(7);  \
  TURN_4(PUT, EVEN_2(r0, r1), EVEN_2(r2, r3), EVEN_2(r4, r5), EVEN_2(r6, r7), to, 2 * q_step);                         \
  TURN_4(PUT, ODD_2(r0, r1), ODD_2(r2, r3), ODD_2(r4, r5), ODD_2(r6, r7), to + q_step, 2 * q_step);
#else
// Rows k to k+3: lanes of columns 0, 4, 8, 12; 2, 6, ...; 1, 5, ...; 3, 7, ...
#define QUAD(k)                                                                                                        \
  const lanes even##k##a = EVEN_1(ROW(k), ROW(k + 1)), odd##k##a = ODD_1(ROW(k), ROW(k + 1));                          \
  const lanes even##k##b = EVEN_1(ROW(k + 2), ROW(k + 3)), odd##k##b = ODD_1(ROW(k + 2), ROW(k + 3));                  \
  const lanes c0_##k = EVEN_2(even##k##a, even##k##b), c2_##k = ODD_2(even##k##a, even##k##b);                         \
  const lanes c1_##k = EVEN_2(odd##k##a, odd##k##b), c3_##k = ODD_2(odd##k##a, odd##k##b);
#define TURN(PUT)                                                                                                      \
  QUAD(0)                                                                                                              \
  QUAD(4)                                                                                                              \
  QUAD(8)                                                                                                              \
  QUAD(12)                                                                                                             \
  TURN_4(PUT, c0_0, c0_4, c0_8, c0_12, to, 4 * q_step);                                                                \
  TURN_4(PUT, c1_0, c1_4, c1_8, c1_12, to + q_step, 4 * q_step);                                                       \
  TURN_4(PUT, c2_0, c2_4, c2_8, c2_12, to + 2 * q_step, 4 * q_step);                                                   \
  TURN_4(PUT, c3_0, c3_4, c3_8, c3_12, to + 3 * q_step, 4 * q_step);
#endif

static inline __attribute__((always_inline)) void turn_block(const __global element *from, __global element *to,
                                                             const size_t p_step, const size_t q_step,
                                                             const int stream) {
  if (stream) {
    TURN(STREAM_LANES)
  } else {
    TURN(STORE_LANES)
  }
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
