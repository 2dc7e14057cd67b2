// The end of a tile of sums: C = act(alpha * sums + bias + residual), in as many passes over K as it takes.
//
// Define ACTIVATION as for epilogue.h and HALF as for storage.h before including this.
#ifndef RX580LAB_ENDING_H
#define RX580LAB_ENDING_H

#include "micro_tile.h"
#include "storage.h"
// Last: includes are expanded once, and it holds some of them under a condition.
#include "epilogue.h"

// What makes a value of C of a sum, and where it goes.
typedef struct {
  float alpha, activation_alpha, activation_beta;
  int has_bias, has_residual;
  const __global stored *bias, *residual;
  __global float *partial;
  __global stored *c;
} Ending;

// Sums of columns column.. of C, which lie at `at` in it.
INLINE float8 ended8(float8 v, const Ending *ending, const size_t at, const int column) {
  v *= ending->alpha;
  if (ending->has_bias) {
    v += READ8(ending->bias + column);
  }
  if (ending->has_residual) {
    v += READ8(ending->residual + at);
  }
  return ACTIVATE8(v, ending->activation_alpha, ending->activation_beta);
}

INLINE float ended(float v, const Ending *ending, const size_t at, const int column) {
  v *= ending->alpha;
  if (ending->has_bias) {
    v += READ(ending->bias + column);
  }
  if (ending->has_residual) {
    v += READ(ending->residual + at);
  }
  return ACTIVATE(v, ending->activation_alpha, ending->activation_beta);
}

// A tile of sums (rows, columns) of this pass -> partial sums, or C after the last pass.
INLINE void end_tile(const int rows, const int columns, const int first, const int last, const float *tile, size_t at,
                     const int column, const size_t n, const Ending *ending) {
  for (int i = 0; i < rows; ++i, tile += NR, at += n) {
    int j = 0;
    for (; j + 8 <= columns; j += 8) {
      float8 v = *(const float8_u *)(tile + j);
      if (!first) {
        v += LOAD8(ending->partial + at + j);
      }
      if (last) {
        WRITE8(ended8(v, ending, at + j, column + j), ending->c + at + j);
      } else {
        STORE8(v, ending->partial + at + j);
      }
    }
    for (; j < columns; ++j) {
      const float v = first ? tile[j] : tile[j] + ending->partial[at + j];
      if (last) {
        WRITE(ended(v, ending, at + j, column + j), ending->c + at + j);
      } else {
        ending->partial[at + j] = v;
      }
    }
  }
}

#endif
