// Depthwise convolution for processors: one filter per channel, so that every product meets its operand once.
//
//   conv_cpu_depthwise          pixel-major: vectors over channels. x (images, bordered pixels, C) fp32, w (taps, C)
//                               fp32, out as `targets` says. NDRange: (tiles, 1, images), as in conv_cpu.cl.
//   conv_cpu_depthwise_planes   channel-major: vectors along rows. x (images, C, rows, W), w (C, taps), out (images, C,
//                               rows, OW), fp32 or fp16. NDRange: as many as planes are given for scratch.
//   conv_cpu_depthwise_pack     w (C, taps) -> (taps, C) fp32. NDRange: (taps).
// Work-groups of one. Traffic: 1 read of x and w (taps overlap in L1), 1 write of out.

#include "mac.h"
#include "storage.h"

#include "epilogue.h"

#define WITH_BIAS 1
#define WITH_RESIDUAL 2

#define INLINE static inline __attribute__((always_inline))

// Four pixels or rows at a time are eight registers of sums, enough to hide a multiply-add's latency.
#define FOUR(DO) DO(0) DO(1) DO(2) DO(3)

// Sixteen channels of four pixels (the last one again beyond `valid`).
#define START(i)                                                                                                       \
  const size_t at##i = sources[min(i, valid - 1)];                                                                     \
  float16 sum##i = (float16)(0.0f);
#define ADD(i) sum##i = MAC(LOAD16(from + at##i), factor, sum##i);
#define FINISH(i)                                                                                                      \
  if (i < valid) {                                                                                                     \
    const size_t target = targets[i];                                                                                  \
    float16 v = sum##i + shift;                                                                                        \
    if (flags & WITH_RESIDUAL) {                                                                                       \
      v += READ16(residual + target);                                                                                  \
    }                                                                                                                  \
    WRITE16(ACTIVATE16(v, alpha, beta), out + target);                                                                 \
  }
INLINE void four_pixels(const int valid, const int n_taps, const int channels, const __global int *taps,
                        const __global int *begins, const __global int *sources, const __global int *targets,
                        const int flags, const float alpha, const float beta, const __global float *x, const __global float *w, const float16 shift,
                        const __global stored *residual, __global stored *out) {
  FOUR(START)
  for (int t = 0; t < n_taps; ++t) {
    const float16 factor = LOAD16(w + begins[t] * channels);
    const __global float *from = x + taps[t];
    FOUR(ADD)
  }
  FOUR(FINISH)
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu_depthwise(const int channels, const int x_image, const int out_image, const int flags, const float alpha,
                   const float beta, const __global int *restrict tiles, const __global int *restrict taps,
                   const __global int *restrict begins, const __global int *restrict sources,
                   const __global int *restrict targets,
                   const __global float *restrict x, const __global float *restrict w,
                   const __global stored *restrict bias, const __global stored *restrict residual,
                   __global stored *restrict out) {
  x += (size_t)get_group_id(2) * x_image;
  residual += (size_t)get_group_id(2) * out_image;
  out += (size_t)get_group_id(2) * out_image;
  const __global int *own = tiles + 5 * get_group_id(0);
  const int end = own[1], n_taps = own[3];
  taps += own[2];
  begins += own[2];
  const int whole = channels / 16 * 16;
  for (int p = own[0]; p < end; p += 4) {
    const int valid = min(4, end - p);
    for (int c = 0; c < whole; c += 16) {
      const float16 shift = flags & WITH_BIAS ? READ16(bias + c) : (float16)(0.0f);
      four_pixels(valid, n_taps, channels, taps, begins, sources + p, targets + p, flags, alpha, beta, x + c, w + c,
                  shift, residual + c, out + c);
    }
    for (int i = p; i < p + valid; ++i) {
      for (int c = whole; c < channels; ++c) {
        float v = 0.0f;
        for (int t = 0; t < n_taps; ++t) {
          v = MAC(x[sources[i] + taps[t] + c], w[begins[t] * channels + c], v);
        }
        v += flags & WITH_BIAS ? READ(bias + c) : 0.0f;
        if (flags & WITH_RESIDUAL) {
          v += READ(residual + targets[i] + c);
        }
        WRITE(ACTIVATE(v, alpha, beta), out + targets[i] + c);
      }
    }
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu_depthwise_pack(const int n_taps, const int channels, const __global stored *restrict w,
                        __global float *restrict packed) {
  const size_t tap = get_group_id(0);
  for (int c = 0; c < channels; ++c) {
    packed[tap * channels + c] = READ(w + (size_t)c * n_taps + tap);
  }
}

// Sixteen columns of x, 1, 2 or more apart.
#define COLUMNS_1(p) LOAD16(p)
#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_shufflevector) // without undefined lanes on the way: see square.h
#define COLUMNS_2(p)                                                                                                   \
  __builtin_shufflevector(LOAD16(p), LOAD16((p) + 16), 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#else
#define COLUMNS_2(p) ((float16)(LOAD16(p).even, LOAD16((p) + 16).even))
#endif
#define COLUMNS_ANY(p)                                                                                                 \
  ((float16)((p)[0], (p)[stride], (p)[2 * stride], (p)[3 * stride], (p)[4 * stride], (p)[5 * stride],                  \
             (p)[6 * stride], (p)[7 * stride], (p)[8 * stride], (p)[9 * stride], (p)[10 * stride], (p)[11 * stride],   \
             (p)[12 * stride], (p)[13 * stride], (p)[14 * stride], (p)[15 * stride]))
#define ADD_1(i) sum##i = MAC(COLUMNS_1(from + at##i), factor, sum##i);
#define ADD_2(i) sum##i = MAC(COLUMNS_2(from + at##i), factor, sum##i);
#define ADD_ANY(i) sum##i = MAC(COLUMNS_ANY(from + at##i), factor, sum##i);
#define KEEP(i) sums[i] = sum##i;

// Sums of sixteen columns of four rows (the last one again beyond `valid`).
#define FOUR_ROWS(kind)                                                                                                \
  INLINE void four_rows_##kind(const int valid, const int n_taps, const size_t stride, const __global int *taps,       \
                               const __global int *sources, const __global float *x, const __global stored *w,         \
                               float16 *sums) {                                                                        \
    FOUR(START) for (int t = 0; t < n_taps; ++t) {                                                                     \
      const float16 factor = (float16)(READ(w + t));                                                                   \
      const __global float *from = x + taps[t];                                                                        \
      FOUR(ADD_##kind)                                                                                                 \
    }                                                                                                                  \
    FOUR(KEEP)                                                                                                         \
  }
FOUR_ROWS(1)
FOUR_ROWS(2)
FOUR_ROWS(ANY)

// Rows of one plane of x -> the bordered plane.
INLINE void border(const int n_rows, const int width, const __global int *to, const __global stored *x,
                   __global float *plane) {
  for (int row = 0; row < n_rows; ++row, x += width) {
    __global float *y = plane + to[row];
    int column = 0;
    for (; column + 16 <= width; column += 16) {
      STORE16(READ16(x + column), y + column);
    }
    for (; column < width; ++column) {
      y[column] = READ(x + column);
    }
  }
}

// Up to sixteen columns of a row of out.
INLINE void store_columns(float16 v, const int columns, const int flags, const float alpha, const float beta,
                          const __global stored *residual, __global stored *out) {
  if (columns == 16) {
    if (flags & WITH_RESIDUAL) {
      v += READ16(residual);
    }
    WRITE16(ACTIVATE16(v, alpha, beta), out);
    return;
  }
  float values[16];
  *(float16_u *)values = v;
  for (int i = 0; i < columns; ++i) {
    const float value = flags & WITH_RESIDUAL ? values[i] + READ(residual + i) : values[i];
    WRITE(ACTIVATE(value, alpha, beta), out + i);
  }
}

// planes: a bordered plane for each work-item, zeros at first, and 64 floats that may be read past its columns.
// to, sources: where each row of x and of out begins in a plane. x_plane: elements of a plane of x.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu_depthwise_planes(const int n_planes, const int channels, const int n_taps, const int stride,
                          const int n_rows_in, const int width_in, const int n_rows, const int width,
                          const int plane_length, const int flags, const float alpha, const float beta,
                          const __global int *restrict taps, const __global int *restrict to,
                          const __global int *restrict sources, const __global stored *restrict x,
                          const __global stored *restrict w, const __global stored *restrict bias,
                          const __global stored *restrict residual, __global stored *restrict out,
                          __global float *restrict planes) {
  __global float *plane = planes + (size_t)get_group_id(0) * plane_length;
  for (int p = get_group_id(0); p < n_planes; p += get_num_groups(0)) {
    const int channel = p - p / channels * channels;
    border(n_rows_in, width_in, to, x + (size_t)p * n_rows_in * width_in, plane);
    const float shift = flags & WITH_BIAS ? READ(bias + channel) : 0.0f;
    const __global stored *factors = w + (size_t)channel * n_taps;
    for (int row = 0; row < n_rows; row += 4) {
      const int valid = min(4, n_rows - row);
      for (int column = 0; column < width; column += 16) {
        // Where a row is long enough, its last columns are computed again rather than one by one.
        const int at = width >= 16 ? min(column, width - 16) : 0;
        const int columns = min(16, width);
        float16 sums[4];
        const __global float *from = plane + (size_t)at * stride;
        if (stride == 1) {
          four_rows_1(valid, n_taps, 1, taps, sources + row, from, factors, sums);
        } else if (stride == 2) {
          four_rows_2(valid, n_taps, 2, taps, sources + row, from, factors, sums);
        } else {
          four_rows_ANY(valid, n_taps, stride, taps, sources + row, from, factors, sums);
        }
        const size_t place = ((size_t)p * n_rows + row) * width + at;
        for (int i = 0; i < valid; ++i) {
          store_columns(sums[i] + (float16)(shift), columns, flags, alpha, beta, residual + place + (size_t)i * width,
                        out + place + (size_t)i * width);
        }
      }
    }
  }
}
