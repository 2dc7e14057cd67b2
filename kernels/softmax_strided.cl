// softmax over an axis that is not the last: x, out (R,C,I), the softmax over
// C; neighbours of a row lie I apart.
//
// Types, special values as in softmax.cl; out may be x. One work-item per row,
// R*I of them: neighbouring work-items take neighbouring rows, so loads and
// stores coalesce. 3 reads + 1 write of R*C*I values.

#include "exp.h"
#include "storage.h"

// Values that are added up before they join the total; unit: values. So errors
// grow with C / 64 and not with C.
#define SUM_BLOCK 64

DEFINE_EXP(exp_of, float, int)

__kernel void softmax_strided(const __global stored *x, __global stored *out, const uint n_rows, const uint n_cols,
                              const uint inner) {
  const uint row = get_global_id(0);
  if (row >= n_rows) {
    return;
  }
  // The remainder by hand: LLVM joins it to the quotient by an instruction that
  // Oclgrind does not know.
  const uint outer = row / inner;
  const size_t first = (size_t)outer * n_cols * inner + (row - outer * inner);
  const __global stored *from = x + first;
  float top = -INFINITY;
  for (uint i = 0; i < n_cols; ++i, from += inner) {
    top = fmax(top, READ(from));
  }
  from = x + first;
  float sum = 0.0f;
  for (uint start = 0; start < n_cols; start += SUM_BLOCK) {
    float part = 0.0f;
    for (uint i = start; i < min(start + SUM_BLOCK, n_cols); ++i, from += inner) {
      part += exp_of(READ(from) - top);
    }
    sum += part;
  }
  const float scale = 1.0f / sum;
  from = x + first;
  __global stored *to = out + first;
  for (uint i = 0; i < n_cols; ++i, from += inner, to += inner) {
    WRITE(exp_of(READ(from) - top) * scale, to);
  }
}
