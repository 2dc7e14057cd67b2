// The range of x, from it a scale and a zero point, and x as uint8 by these: three launches, nothing leaves the device.
//
// x, out: n values; fp32 to uint8. ranges: least and largest value of each of n_parts parts. scale, zero_point: one each.
//   dynamic_quantize_ranges   part p takes values p, p + n_parts, ...: neighbours read neighbours
//   dynamic_quantize_scale    one work-item joins the parts. NDRange: 1
//   dynamic_quantize_plain    one work-item per value
// 2 reads + 1/4 write of n values of 4 bytes. 0 always belongs to the range, so that it is exact. A NaN is passed over by
// the range and becomes 0.

#include "quantize.h"

// Larger of the two; a NaN in v is passed over.
#define WIDEN(low, high, v)                                                                                            \
  low = (v) < low ? (v) : low;                                                                                         \
  high = (v) > high ? (v) : high

__kernel void dynamic_quantize_ranges(const __global float *restrict x, __global float *restrict ranges, const uint n,
                                      const uint n_parts) {
  const uint part = get_global_id(0);
  if (part >= n_parts) {
    return;
  }
  float low = 0.0f, high = 0.0f;
  for (uint i = part; i < n; i += n_parts) {
    const float v = x[i];
    WIDEN(low, high, v);
  }
  ranges[2 * part] = low;
  ranges[2 * part + 1] = high;
}

__kernel void dynamic_quantize_scale(const __global float *restrict ranges, const uint n_parts,
                                     __global float *restrict scale, __global uchar *restrict zero_point) {
  float low = 0.0f, high = 0.0f;
  for (uint part = 0; part < n_parts; ++part) {
    const float least = ranges[2 * part], largest = ranges[2 * part + 1];
    WIDEN(low, high, least);
    WIDEN(low, high, largest);
  }
  const float width = high == low ? 1.0f : high - low;
  const float step = width / 255.0f;
  const float middle = -low / step;
  const float inside = middle > 255.0f ? 255.0f : middle;
  *scale = step;
  *zero_point = (uchar)((inside + QUANTIZE_ROUND) - QUANTIZE_ROUND);
}

__kernel void dynamic_quantize_plain(const __global float *restrict x, const __global float *restrict scale,
                                     const __global uchar *restrict zero_point, __global uchar *restrict out,
                                     const uint n) {
  const uint i = get_global_id(0);
  if (i < n) {
    out[i] = quantized(x[i], *scale, *zero_point, 0);
  }
}
