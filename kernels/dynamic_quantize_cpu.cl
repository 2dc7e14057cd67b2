// dynamic_quantize for processors with vector registers: a work-item takes a part of neighbouring values.
//
// Steps, arrays and formula as in dynamic_quantize.cl, whose dynamic_quantize_scale joins the parts. Part p takes values
// p * width to (p + 1) * width. Work-groups of one; NDRange: parts.

#include "quantize.h"
#include "vec.h"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
dynamic_quantize_cpu_ranges(const __global float *restrict x, __global float *restrict ranges, const uint n,
                            const uint width) {
  const uint part = get_group_id(0);
  uint i = part * width;
  const uint end = min(i + width, n);
  float16 low = (float16)(0.0f), high = low;
  for (; i + 16 <= end; i += 16) {
    const float16 v = LOAD16(x + i);
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  float lows[16] __attribute__((aligned(64))), highs[16] __attribute__((aligned(64)));
  *(float16 *)lows = low;
  *(float16 *)highs = high;
  float least = 0.0f, largest = 0.0f;
  for (uint k = 0; k < 16; ++k) {
    least = lows[k] < least ? lows[k] : least;
    largest = highs[k] > largest ? highs[k] : largest;
  }
  for (; i < end; ++i) {
    least = x[i] < least ? x[i] : least;
    largest = x[i] > largest ? x[i] : largest;
  }
  ranges[2 * part] = least;
  ranges[2 * part + 1] = largest;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
dynamic_quantize_cpu(const __global float *restrict x, const __global float *restrict scale,
                     const __global uchar *restrict zero_point, __global uchar *restrict out, const uint n,
                     const uint width) {
  const uint first = get_group_id(0) * width;
  const uint length = min(width, n - first);
  const float step = *scale;
  const int middle = *zero_point;
  x += first;
  out += first;
  for (uint i = 0; i < length; ++i) {
    out[i] = quantized(x[i], step, middle, 0);
  }
}
