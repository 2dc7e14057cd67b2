// Convolution of int8, summed exactly in int32, one work-item per element of the output: any case.
//
// Shapes: x (N, C, ...), w (K, C/group, ...), bias (K) in int32, out (N, K, ...) as OUTPUT says; one to three spatial
// axes seen as three (absent ones of length 1). Bytes are int8 or uint8 (flips of 128 or 0) less their zero points: one
// of x, one or K of w. Scales are fp32, one or K. A step of 0 makes one value serve all filters. Padding is x's zero
// point, so it adds nothing. NDRange: elements of out, rounded up to whole groups. Sums wrap around at 2^32.

#include "requantize.h"

// Of each int4: depth, height, width in x, y, z.
__kernel void conv_i8_i8_plain(const uint n_values, const uint channels_each, const uint filters_each,
                               const uint n_groups, const int4 size, const int4 out_size, const int4 window,
                               const int4 strides, const int4 dilations, const int4 before,
                               const __global uchar *restrict x, const __global uchar *restrict w, const int x_flip,
                               const int w_flip, const __global uchar *restrict x_zero,
                               const __global uchar *restrict w_zero, const int w_step,
                               const __global int *restrict bias, const int bias_step,
                               const __global float *restrict scale, const int scale_step, const int zero_point,
                               const int lowest, __global result *restrict out) {
  const uint i = get_global_id(0);
  if (i >= n_values) {
    return;
  }
  // Remainders by multiplication: beside a division, LLVM makes of % what Oclgrind cannot follow (freeze).
  const uint rows = i / out_size.z, planes = rows / out_size.y, image_filter = planes / out_size.x;
  const uint filters = filters_each * n_groups, image = image_filter / filters;
  const uint filter = image_filter - image * filters;
  const int4 place = (int4)(planes - image_filter * out_size.x, rows - planes * out_size.y, i - rows * out_size.z, 0);
  const size_t area = (size_t)size.x * size.y * size.z;
  x += ((size_t)image * (channels_each * n_groups) + filter / filters_each * channels_each) * area;
  w += (size_t)filter * channels_each * (window.x * window.y * window.z);
  const int4 first = place * strides - before;
  const uchar zx = *x_zero, zw = w_zero[filter * w_step];
  int sum = bias[filter * bias_step];
  for (uint c = 0; c < channels_each; ++c, x += area) {
    for (int r = 0; r < window.x; ++r) {
      const int d = first.x + r * dilations.x;
      for (int s = 0; s < window.y; ++s) {
        const int h = first.y + s * dilations.y;
        // No column of a row outside x is inside.
        const uint width = (uint)d < (uint)size.x && (uint)h < (uint)size.y ? size.z : 0;
        const __global uchar *from = x + ((size_t)d * size.y + h) * size.z;
        uint v = first.z;
        for (int t = 0; t < window.z; ++t, ++w, v += dilations.z) {
          const int value = v < width ? BYTE_LESS(from[v], zx, x_flip) : 0;
          sum = mad24(value, BYTE_LESS(*w, zw, w_flip), sum);
        }
      }
    }
  }
  out[i] = requantize(sum, scale[filter * scale_step], zero_point, lowest);
}
