// out = (x - zero_point) * scale: int8, uint8 or int32 to fp32, one work-item per element.
//
// Shapes: x, out (O, C, I); scale one value, (C), or (O, C / block, I), and zero_point (of x's type) likewise, or none
// where has_zero is 0. NDRange: elements, rounded up to whole groups. 1 read + 1 write of 4 bytes an element.

#include "quantize.h"

// What x holds; unit: a choice. 0: bytes, as flip says, 1: int32.
#ifndef WHOLE
#define WHOLE 0
#endif

#if WHOLE
typedef int stored;
#define VALUE_OF(x, flip) (x)
#else
typedef uchar stored;
#define VALUE_OF(x, flip) QUANTIZE_VALUE(x, flip)
#endif

__kernel void dequantize_plain(const __global stored *restrict x, const __global float *restrict scale,
                               const __global stored *restrict zero, __global float *restrict out,
                               const uint n_values, const uint inner, const uint length, const uint block,
                               const uint outer_step, const uint step, const uint inner_step, const uint has_zero,
                               const int flip) {
  const uint i = get_global_id(0);
  if (i >= n_values) {
    return;
  }
  const uint at = quantize_place(i, inner, length, block, outer_step, step, inner_step);
  const int middle = has_zero ? VALUE_OF(zero[at], flip) : 0;
  out[i] = (float)(VALUE_OF(x[i], flip) - middle) * scale[at];
}
