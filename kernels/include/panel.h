// Copies of a matrix in the order in which micro_tile.h reads it: slices of NR columns, row after row, in fp32.
//
// Define SLICE as the address space of the copies, __global or __local, and HALF as for storage.h, before including this.
#ifndef RX580LAB_PANEL_H
#define RX580LAB_PANEL_H

#include "micro_tile.h"
#include "storage.h"

// Rows ahead that a copy asks for: each is on another page, where no hardware prefetcher follows.
#define AHEAD 8

// B (depth, columns), row stride n -> a slice (depth, NR), zeros in columns that B lacks.
INLINE void copy_rows(const int depth, const int columns, const __global stored *b, const size_t n, SLICE float *to) {
  for (int k = 0; k < depth; ++k, b += n, to += NR) {
    if (columns == NR) {
      PREFETCH(b + AHEAD * n, 3);
      *(SLICE float16 *)to = READ16(b);
    } else {
      for (int j = 0; j < NR; ++j) {
        to[j] = j < columns ? READ(b + j) : 0.0f;
      }
    }
  }
}

// Four rows of four -> their columns, by even and odd elements: one instruction each on x86. A literal of components
// becomes a shuffle with undefined lanes in between, of which Oclgrind dies.
INLINE void turn(const float4 r0, const float4 r1, const float4 r2, const float4 r3, float4 *c) {
  const float4 even0 = (float4)(r0.even, r1.even), even1 = (float4)(r2.even, r3.even);
  const float4 odd0 = (float4)(r0.odd, r1.odd), odd1 = (float4)(r2.odd, r3.odd);
  c[0] = (float4)(even0.even, even1.even);
  c[1] = (float4)(odd0.even, odd1.even);
  c[2] = (float4)(even0.odd, even1.odd);
  c[3] = (float4)(odd0.odd, odd1.odd);
}

// The same of B transposed: (columns, depth), row stride n. four rows of four are turned at a time.
INLINE void copy_columns(const int depth, const int columns, const __global stored *b, const size_t n,
                         SLICE float *to) {
  int j = 0;
  for (; j + 4 <= columns; j += 4, b += 4 * n) {
    int k = 0;
    for (; k + 4 <= depth; k += 4) {
      float4 column[4];
      turn(READ4(b + k), READ4(b + n + k), READ4(b + 2 * n + k), READ4(b + 3 * n + k), column);
      SLICE float4 *row = (SLICE float4 *)(to + k * NR + j);
      row[0 * NR / 4] = column[0];
      row[1 * NR / 4] = column[1];
      row[2 * NR / 4] = column[2];
      row[3 * NR / 4] = column[3];
    }
    for (; k < depth; ++k) {
      for (int i = 0; i < 4; ++i) {
        to[k * NR + j + i] = READ(b + i * n + k);
      }
    }
  }
  for (; j < NR; ++j, b += n) {
    for (int k = 0; k < depth; ++k) {
      to[k * NR + j] = j < columns ? READ(b + k) : 0.0f;
    }
  }
}

#endif
