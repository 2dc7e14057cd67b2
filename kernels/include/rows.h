// Rows of elements for processors: long contiguous ones by vectors, short and strided ones by elements.
//
// For kernels with work-groups of one; walk.h's element comes along. A row that is contiguous on both sides moves as
// bytes, 32 at a time from any address; its last 32 move once more rather than one by one: the same bits twice.
#ifndef RX580LAB_ROWS_H
#define RX580LAB_ROWS_H

#include "walk.h"

typedef uint8 block_u __attribute__((aligned(1)));
#define BLOCK ((uint)sizeof(uint8))
#define LOAD_BLOCK(p) (*(const __global block_u *)(p))
#define STORE_BLOCK(v, p) (*(__global block_u *)(p) = (v))

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
// Past the caches, where the compiler offers it: no line is read before it is overwritten. p must be aligned to 32.
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM_BLOCK(v, p) __builtin_nontemporal_store(v, (__global uint8 *)(p))
#else
#define STREAM_BLOCK(v, p) STORE_BLOCK(v, p)
#endif

// Rows from this length on may bypass the caches; unit: bytes. Below, the way to an aligned address costs more.
#define STREAM_ROW 1024

#define COPY_BLOCKS(PUT)                                                                                               \
  for (; i + 4 * BLOCK <= n; i += 4 * BLOCK) {                                                                         \
    const uint8 v0 = LOAD_BLOCK(from + i), v1 = LOAD_BLOCK(from + i + BLOCK);                                          \
    const uint8 v2 = LOAD_BLOCK(from + i + 2 * BLOCK), v3 = LOAD_BLOCK(from + i + 3 * BLOCK);                          \
    PUT(v0, to + i);                                                                                                   \
    PUT(v1, to + i + BLOCK);                                                                                           \
    PUT(v2, to + i + 2 * BLOCK);                                                                                       \
    PUT(v3, to + i + 3 * BLOCK);                                                                                       \
  }

// n >= BLOCK bytes that do not overlap. stream: whether the target is far larger than any cache.
static inline void copy_bytes(const __global uchar *from, __global uchar *to, const size_t n, const int stream) {
  size_t i = 0;
  if (stream && n >= STREAM_ROW) {
    STORE_BLOCK(LOAD_BLOCK(from), to);
    i = (size_t)(-(size_t)to) % BLOCK;
    COPY_BLOCKS(STREAM_BLOCK)
  } else {
    COPY_BLOCKS(STORE_BLOCK)
  }
  for (; i + BLOCK <= n; i += BLOCK) {
    STORE_BLOCK(LOAD_BLOCK(from + i), to + i);
  }
  if (i < n) {
    STORE_BLOCK(LOAD_BLOCK(from + n - BLOCK), to + n - BLOCK);
  }
}

// n elements, each step.x further in the source and step.y in the target.
static inline void copy_strided(const __global element *from, __global element *to, const uint n, const int2 step) {
  uint i = 0;
  const long dx = step.x, dy = step.y;
  for (; i + 4 <= n; i += 4, from += 4 * dx, to += 4 * dy) {
    const element v0 = from[0], v1 = from[dx], v2 = from[2 * dx], v3 = from[3 * dx];
    to[0] = v0;
    to[dy] = v1;
    to[2 * dy] = v2;
    to[3 * dy] = v3;
  }
  for (; i < n; ++i, from += dx, to += dy) {
    *to = *from;
  }
}

// n elements beside each other on both sides.
static inline void copy_row(const __global element *from, __global element *to, const uint n, const int stream) {
  const size_t bytes = (size_t)n * sizeof(element);
  if (bytes >= BLOCK) {
    copy_bytes((const __global uchar *)from, (__global uchar *)to, bytes, stream);
  } else {
    for (uint i = 0; i < n; ++i) {
      to[i] = from[i];
    }
  }
}

// n times the element v.
static inline void fill_row(__global element *to, const uint n, const element v) {
  uint i = 0;
  for (; i + 4 <= n; i += 4) {
    to[i] = v;
    to[i + 1] = v;
    to[i + 2] = v;
    to[i + 3] = v;
  }
  for (; i < n; ++i) {
    to[i] = v;
  }
}

// A work-item's share of a walk: rows_per_item rows, of each width columns.
static inline __attribute__((always_inline)) void walk_rows(const __global element *x, __global element *out,
                                                            WALK_ARGUMENTS, const uint rows_per_item, const uint width,
                                                            const int stream) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  uint row = get_group_id(1) * rows_per_item;
  const uint end = min(row + rows_per_item, n_rows);
  const int2 first = start + (int2)((int)column * step.x, (int)column * step.y);
  while (row < end) { // the rows that follow each other along their innermost axis need no division
    const int2 at = first + walk_to(row, n, source, target);
    const __global element *from = x + at.x;
    __global element *to = out + at.y;
    const uint turn = min(n.s0 - row % n.s0, end - row);
    row += turn;
    for (uint k = 0; k < turn; ++k, from += source.s0, to += target.s0) {
      if (step.x == 1 && step.y == 1) {
        copy_row(from, to, columns, stream);
      } else if (step.x == 0 && step.y == 1) {
        fill_row(to, columns, *from);
      } else {
        copy_strided(from, to, columns, step);
      }
    }
  }
}

#endif
