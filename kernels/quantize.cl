// out = saturate(round(x / scale) + zero_point): fp32 to int8 or uint8, one work-item per element.
//
// Shapes: x, out (O, C, I); scale one value, (C), or (O, C / block, I), and zero_point (bytes of out's type) likewise, or
// none where has_zero is 0. NDRange: elements, rounded up to whole groups. 1 read of 4 bytes + 1 write of 1 an element.

#include "quantize.h"

__kernel void quantize_plain(const __global float *restrict x, const __global float *restrict scale,
                             const __global uchar *restrict zero, __global uchar *restrict out, const uint n_values,
                             const uint inner, const uint length, const uint block, const uint outer_step,
                             const uint step, const uint inner_step, const uint has_zero, const int flip) {
  const uint i = get_global_id(0);
  if (i >= n_values) {
    return;
  }
  const uint at = quantize_place(i, inner, length, block, outer_step, step, inner_step);
  out[i] = quantized(x[i], scale[at], has_zero ? QUANTIZE_VALUE(zero[at], flip) : 0, flip);
}
