// What conv_cpu.cl reads, from the layouts that its callers have: pixel-major, fp32, bordered by zeros; and panels.
//
//   conv_cpu_arrange_x      x (images, C, pixels) -> y: the channels of a pixel side by side. NDRange: (pixels/BLOCK, 1, images).
//   conv_cpu_widen_x        x (images, rows, W, C) with or without borders -> y. NDRange: (rows of y, 1, images).
//   conv_cpu_pack_w         w -> panels (groups, ceil(filters/NR), taps, C/groups, NR), zeros past the last filter.
//                           NDRange: (panels, 1, groups).
// Traffic: 1 read + 1 write of each element. conv_cpu_widen_x writes the borders of y too; conv_cpu_arrange_x does not:
// they are zeros from its creation on.

#include "mac.h"
#include "storage.h"

#include "square.h"

// Pixels of a work-item of conv_cpu_arrange_x; unit: pixels, a multiple of 4. Fixed: a line of cache per channel and more.
#define BLOCK 64
// Filters of a panel; unit: filters. As in conv_cpu.cl.
#define NR 16

#define INLINE static inline __attribute__((always_inline))

// Four channels of four pixels; `step` from one channel to the next in x, `to`: where each pixel lies in y.
INLINE void arrange_square(const __global stored *x, const size_t step, const __global int *to, __global float *y) {
  const float4 r0 = READ4(x), r1 = READ4(x + step), r2 = READ4(x + 2 * step), r3 = READ4(x + 3 * step);
  TURN_SQUARE(c, r0, r1, r2, r3)
  STORE4(c0, y + to[0]);
  STORE4(c1, y + to[1]);
  STORE4(c2, y + to[2]);
  STORE4(c3, y + to[3]);
}

// to: where each pixel lies in an image of y.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu_arrange_x(const int n_pixels, const int channels, const int y_image, const __global int *restrict to,
                   const __global stored *restrict x, __global float *restrict y) {
  const size_t step = n_pixels;
  x += get_group_id(2) * channels * step;
  y += (size_t)get_group_id(2) * y_image;
  const int first = get_group_id(0) * BLOCK, last = min(first + BLOCK, n_pixels);
  int p = first;
  for (; p + 4 <= last; p += 4) {
    int c = 0;
    for (; c + 4 <= channels; c += 4) {
      arrange_square(x + c * step + p, step, to + p, y + c);
    }
    for (; c < channels; ++c) {
      for (int i = 0; i < 4; ++i) {
        y[to[p + i] + c] = READ(x + c * step + p + i);
      }
    }
  }
  for (; p < last; ++p) {
    for (int c = 0; c < channels; ++c) {
      y[to[p] + c] = READ(x + c * step + p);
    }
  }
}

INLINE void clear_floats(__global float *y, const int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    STORE16((float16)(0.0f), y + i);
  }
  for (; i < n; ++i) {
    y[i] = 0.0f;
  }
}

// x_rows: of each row of y, where its first pixel lies in an image of x; negative for a row of zeros. length: elements of
// a row of x; a row of y has `whole`, `left` of them before those.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu_widen_x(const int length, const int left, const int whole, const int x_image, const int y_image,
                 const __global int *restrict x_rows, const __global stored *restrict x, __global float *restrict y) {
  const int row = get_group_id(0), from = x_rows[row];
  y += (size_t)get_group_id(2) * y_image + (size_t)row * whole;
  if (from < 0) {
    clear_floats(y, whole);
    return;
  }
  x += (size_t)get_group_id(2) * x_image + from;
  clear_floats(y, left);
  y += left;
  clear_floats(y + length, whole - left - length);
  int i = 0;
  for (; i + 16 <= length; i += 16) {
    STORE16(READ16(x + i), y + i);
  }
  for (; i < length; ++i) {
    y[i] = READ(x + i);
  }
}

// taps: which position of the kernel each tap is. Steps: from one filter, channel or group to the next in w, where a
// channel's positions lie side by side.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu_pack_w(const int n_taps, const int channels_each, const int filters_each, const uint filter_step,
                const uint channel_step, const uint group_step, const __global int *restrict taps,
                const __global stored *restrict w, __global float *restrict panels) {
  const int filter = get_group_id(0) * NR;
  const int filters = min(NR, filters_each - filter);
  w += (size_t)get_group_id(2) * group_step + (size_t)filter * filter_step;
  panels += ((size_t)get_group_id(2) * get_num_groups(0) + get_group_id(0)) * n_taps * channels_each * NR;
  for (int c = 0; c < channels_each; ++c, w += channel_step) {
    for (int t = 0; t < n_taps; ++t) {
      const __global stored *from = w + taps[t];
      __global float *to = panels + ((size_t)t * channels_each + c) * NR;
      for (int i = 0; i < NR; ++i) {
        to[i] = i < filters ? READ(from + (size_t)i * filter_step) : 0.0f;
      }
    }
  }
}
