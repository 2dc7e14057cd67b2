// Transposed convolution, one work-item per element of the output: any case, and the yardstick of the other templates.
//
// Shapes: x (N, C, ...), w (C, K/group, ...), bias (K), residual and out (N, K, ...), one to three spatial axes seen as
// three (absent ones of length 1), row-major, fp32 or fp16 as HALF says, sums in fp32. NDRange: elements of out,
// rounded up to whole groups. Traffic: 2 reads per product, 1 write per element.
//
// An element gathers what the definition scatters: position (r, s, t) of the kernel reaches it from input i where
// i * stride + position * dilation - before is its place. Inputs beyond the edges count as zeros that are multiplied
// like any value, as in every template: an infinite weight makes NaN of them.

#include "mac.h"
#include "storage.h"

#include "epilogue.h"

#define WITH_BIAS 1
#define WITH_RESIDUAL 2

// From one position of the kernel to the next: an input further down, and what is left over towards the one above it.
#define NEXT(input, rest, i)                                                                                           \
  input -= whole.i;                                                                                                    \
  rest -= left.i;                                                                                                      \
  if (rest < 0) {                                                                                                      \
    rest += strides.i;                                                                                                 \
    input -= 1;                                                                                                        \
  }

// Of each int4: depth, height, width in x, y, z. whole, left: dilations / strides, and what that leaves.
__kernel void conv_transpose_plain(const uint n_values, const uint channels_each, const uint filters_each,
                                   const uint n_groups, const int4 size, const int4 out_size, const int4 window,
                                   const int4 strides, const int4 whole, const int4 left, const int4 before,
                                   const int flags, const float alpha, const float beta,
                                   const __global stored *restrict x, const __global stored *restrict w,
                                   const __global stored *restrict bias, const __global stored *restrict residual,
                                   __global stored *restrict out) {
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
  const uint n_taps = window.x * window.y * window.z;
  const uint channel0 = filter / filters_each * channels_each;
  x += ((size_t)image * (channels_each * n_groups) + channel0) * area;
  w += ((size_t)channel0 * filters_each + (filter - filter / filters_each * filters_each)) * n_taps;
  const int4 first = place + before;
  const int4 input0 = first / strides, rest0 = first - input0 * strides;
  float sum = 0.0f;
  for (uint c = 0; c < channels_each; ++c, x += area, w += (size_t)filters_each * n_taps) {
    const __global stored *factor = w;
    int d = input0.x, d_rest = rest0.x;
    for (int r = 0; r < window.x; ++r) {
      int h = input0.y, h_rest = rest0.y;
      for (int s = 0; s < window.y; ++s) {
        // No column of a row outside x is inside.
        const uint width = (uint)d < (uint)size.x && (uint)h < (uint)size.y ? size.z : 0;
        const int row_rest = d_rest | h_rest;
        const __global stored *from = x + ((size_t)d * size.y + h) * size.z;
        int v = input0.z, v_rest = rest0.z;
        for (int t = 0; t < window.z; ++t, ++factor) {
          if ((v_rest | row_rest) == 0) {
            const float value = (uint)v < width ? READ(from + v) : 0.0f;
            sum = MAC(value, READ(factor), sum);
          }
          NEXT(v, v_rest, z)
        }
        NEXT(h, h_rest, y)
      }
      NEXT(d, d_rest, x)
    }
  }
  if (flags & WITH_BIAS) {
    sum += READ(bias + filter);
  }
  if (flags & WITH_RESIDUAL) {
    sum += READ(residual + i);
  }
  WRITE(ACTIVATE(sum, alpha, beta), out + i);
}

// w (C, K/group, taps) -> (K, C/group, n), the n positions of `taps`, which conv_gpu.cl multiplies as a convolution's.
// NDRange: elements of the result, rounded up to whole groups.
__kernel void conv_transpose_turn_w(const uint n_values, const uint n_taps, const uint channels_each,
                                    const uint filters_each, const uint n, const __global int *restrict taps,
                                    const __global stored *restrict w, __global stored *restrict turned) {
  const uint i = get_global_id(0);
  if (i >= n_values) {
    return;
  }
  const uint rows = i / n, filter = rows / channels_each, group = filter / filters_each;
  const uint channel = group * channels_each + rows - filter * channels_each;
  const size_t row = (size_t)channel * filters_each + filter - group * filters_each;
  turned[i] = w[row * n_taps + taps[i - rows * n]];
}
