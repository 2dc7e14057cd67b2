// Convolution of int8 for processors: patches of x as rows of int16 pairs, multiplied by panels of filters.
//
// Shapes and arguments as in conv_i8_i8.cl; P = ceil(channels_each * window / 2) pairs, the last one of an odd count
// with a 0. Three kernels, launched in this order, in work-groups of one:
//   conv_i8_i8_cpu_pack     w -> panels (groups, ceil(filters_each/NR), P, NR) of pairs, zeros right of the last filter
//   conv_i8_i8_cpu_patches  x -> patches (N, groups, pixels, P) of pairs, zeros where the window leaves x
//   conv_i8_i8_cpu          patches and panels -> out
// Traffic: x once per tap and once more as patches, four bytes a pair; out written once.

// Pixels of out per work-item; unit: pixels, a multiple of 6, the micro-kernel's rows.
#ifndef TILE_M
#define TILE_M 96
#endif

#include "int8_pairs.h"
#include "requantize.h"

// NDRange: (ceil(filters_each/NR), groups).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_i8_i8_cpu_pack(const int filters_each, const int depth, const __global uchar *restrict w, const int w_flip,
                    const __global uchar *restrict w_zero, const int w_step, __global int *restrict panels) {
  const int column = get_group_id(0) * NR;
  const int group = get_group_id(1);
  const int n_pairs = (depth + 1) / 2;
  const int filter0 = group * filters_each + column;
  panels += ((size_t)group * get_num_groups(0) + get_group_id(0)) * n_pairs * NR;
  for (int j = 0; j < NR; ++j) {
    const int inside = column + j < filters_each;
    const uchar zero = inside ? w_zero[(filter0 + j) * w_step] : 0;
    const __global uchar *from = w + (size_t)(filter0 + j) * depth;
    for (int pair = 0; pair < n_pairs; ++pair) {
      const int first = inside ? BYTE_LESS(from[2 * pair], zero, w_flip) : 0;
      const int second = (inside & (2 * pair + 1 < depth)) ? BYTE_LESS(from[2 * pair + 1], zero, w_flip) : 0;
      panels[(size_t)pair * NR + j] = PAIR(first, second);
    }
  }
}

// NDRange: (rows of out, N * groups). A work-item makes the patches of one row of out.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_i8_i8_cpu_patches(const int channels_each, const int depth, const int4 size, const int4 out_size,
                       const int4 window, const int4 strides, const int4 dilations, const int4 before,
                       const __global uchar *restrict x, const int x_flip, const __global uchar *restrict x_zero,
                       __global short *restrict patches) {
  const int row = get_group_id(0);
  const size_t image_group = get_group_id(1);
  const int padded = (depth + 1) / 2 * 2;
  const int plane = row / out_size.y;
  const int4 first = (int4)(plane, row - plane * out_size.y, 0, 0) * strides - before;
  const size_t area = (size_t)size.x * size.y * size.z;
  const short zero = BYTE_OF(*x_zero, x_flip);
  patches += (image_group * get_num_groups(0) + row) * out_size.z * padded;
  x += image_group * channels_each * area;
  for (int c = 0; c < channels_each; ++c, x += area) {
    for (int r = 0; r < window.x; ++r) {
      const int d = first.x + r * dilations.x;
      for (int s = 0; s < window.y; ++s) {
        const int h = first.y + s * dilations.y;
        const uint width = (uint)d < (uint)size.x && (uint)h < (uint)size.y ? size.z : 0;
        const __global uchar *from = x + ((size_t)d * size.y + h) * size.z;
        for (int t = 0; t < window.z; ++t, ++patches) {
          uint v = first.z + t * dilations.z;
          for (int p = 0; p < out_size.z; ++p, v += strides.z) {
            patches[(size_t)p * padded] = v < width ? BYTE_OF(from[v], x_flip) - zero : 0;
          }
        }
      }
    }
  }
  if (depth < padded) {
    for (int p = 0; p < out_size.z; ++p) {
      patches[(size_t)p * padded] = 0;
    }
  }
}

// NDRange: (ceil(pixels/TILE_M), ceil(filters_each/NR), N * groups).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_i8_i8_cpu(const int n_pixels, const int filters_each, const int n_groups, const int depth,
               const __global int *restrict patches, const __global int *restrict panels,
               const __global int *restrict bias, const int bias_step, const __global float *restrict scale,
               const int scale_step, const int zero_point, const int lowest, __global result *restrict out) {
  const int pixel0 = get_group_id(0) * TILE_M;
  const int pixel_end = min(pixel0 + TILE_M, n_pixels);
  const int column = get_group_id(1) * NR;
  const size_t image_group = get_group_id(2);
  const int group = image_group - image_group / n_groups * n_groups;
  const int filter0 = group * filters_each + column;
  const int filters = min(NR, filters_each - column);
  const int n_pairs = (depth + 1) / 2;
  const __global short16 *panel =
      (const __global short16 *)(panels + ((size_t)group * get_num_groups(1) + get_group_id(1)) * n_pairs * NR);
  patches += image_group * n_pixels * n_pairs;
  out += (image_group * filters_each + column) * n_pixels;
  int tile[6 * NR];
  for (int pixel = pixel0; pixel < pixel_end; pixel += 6) {
    const int rows = min(6, pixel_end - pixel);
    tile_of_pairs(rows, n_pairs, patches + (size_t)pixel * n_pairs, panel, tile);
    for (int j = 0; j < filters; ++j) {
      const int addend = bias[(filter0 + j) * bias_step];
      const float factor = scale[(filter0 + j) * scale_step];
      for (int i = 0; i < rows; ++i) {
        out[(size_t)j * n_pixels + pixel + i] = requantize(tile[i * NR + j] + addend, factor, zero_point, lowest);
      }
    }
  }
}
