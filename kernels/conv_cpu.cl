// Convolution for processors with vector registers and caches: the matrix product's micro-tile over pixels.
//
// All tensors are pixel-major here: the channels of a pixel lie side by side, and where a pixel lies is looked up in a
// table, so that any stride, dilation, padding and number of axes is the same loop. For each pixel a tap adds a run of
// products: x at source + tap, over the channels of one position, or of a whole row of the kernel where these adjoin.
// x is bordered by zeros, or pixels near its edges have a shorter list of taps: none is tested. conv_cpu_arrange.cl brings x and w into that form.
//
// Shapes: x (images, bordered pixels, C) fp32; panels (groups, ceil(filters/NR), taps * run, NR) fp32; bias (K);
// residual and out as `targets` and `step` say, fp32 or fp16. NDRange: (tiles, ceil(panels/tile_n),
// images * groups), work-groups of one. Traffic: x once per tile_n panels, panels once per tile, out once.

#include "mac.h"
#include "storage.h"

#include "epilogue.h"
#include "square.h"

// 1: the micro-tiles are compiled for AVX-512, which only some processors have and PoCL's own target leaves out. They
// then multiply four panels at once: 6 x 64 sums fill its registers as 6 x 16 do AVX2's.
#ifndef USE_AVX512
#define USE_AVX512 0
#endif
// Steps per turn of the inner loop; unit: channels. Four hide the loop's own instructions behind multiply-adds.
#ifndef UNROLL_K
#define UNROLL_K 4
#endif

// Filters of a panel; unit: filters. Fixed: one float16.
#define NR 16
// Bits of `flags`: there is a residual; the pixels of a strip adjoin in out, each channel apart.
#define WITH_RESIDUAL 2
#define ADJOINING 4

#define INLINE static inline __attribute__((always_inline))
#if USE_AVX512
#define PANELS 4
#define MICRO __attribute__((noinline, target("avx512f")))
#else
#define PANELS 1
#define MICRO INLINE
#endif

// The sums are named variables and not an array: LLVM 14 keeps an indexed array in memory.
#define ROWS_4(DO, n) DO(0, n) DO(1, n) DO(2, n) DO(3, n)
#define ROWS_5(DO, n) ROWS_4(DO, n) DO(4, n)
#define ROWS_6(DO, n) ROWS_5(DO, n) DO(5, n)
#define PANELS_1(DO, i) DO(i, 0)
#define PANELS_2(DO, i) PANELS_1(DO, i) DO(i, 1)
#define PANELS_4(DO, i) PANELS_2(DO, i) DO(i, 2) DO(i, 3)

#define ZERO_SUM(i, j) float16 sum##i##j = (float16)(0.0f);
#define START_ROW(i, n)                                                                                                \
  const size_t at##i = sources[min(i, valid - 1)];                                                                     \
  PANELS_##n(ZERO_SUM, i)
// Asks for the lines that the sums will go to: they come while the products are added.
#define EXPECT(i, j) PREFETCH(out + target##i + j * NR, 3);
#define EXPECT_ROW(i, n) PANELS_##n(EXPECT, i)
#define FIND_ROW(i, n) const size_t target##i = targets[min(i, valid - 1)];
#define READ_PANEL(i, j) const float16 b##j = panel[j * panel_step + k];
#define ADD_PRODUCT(i, j) sum##i##j = MAC(v, b##j, sum##i##j);
#define ADD_PRODUCTS(i, n)                                                                                             \
  {                                                                                                                    \
    const float16 v = (float16)(from[at##i + k]);                                                                      \
    PANELS_##n(ADD_PRODUCT, i)                                                                                         \
  }
#define KEEP_SUM(i, j) tile[i * PANELS + j] = sum##i##j;
#define KEEP_ROW(i, n) PANELS_##n(KEEP_SUM, i)
#define READ_BIAS(i, j) const float16 bias##j = (float16)(READ8(bias + j * NR), READ8(bias + j * NR + 8));
// In halves where a function is called: clang passes no float16 between functions of different targets.
#if ACTIVATION == 0 && !HALF
#define STORE_SUM(i, j) STORE16(sum##i##j + bias##j, out + target##i + j * NR);
#else
#define STORE_SUM(i, j)                                                                                                \
  {                                                                                                                    \
    const float16 v = sum##i##j + bias##j;                                                                             \
    WRITE8(ACTIVATE8(v.lo, alpha, beta), out + target##i + j * NR);                                                    \
    WRITE8(ACTIVATE8(v.hi, alpha, beta), out + target##i + j * NR + 8);                                                \
  }
#endif
#define STORE_ROW(i, n)                                                                                                \
  if (i < valid) {                                                                                                     \
    PANELS_##n(STORE_SUM, i)                                                                                           \
  }
// Without an activation, or with one of a few instructions, whole panels go from registers to out.
#if ACTIVATION <= 1 || ACTIVATION == 3
#define DIRECT 1
#define STORE_OR_KEEP(rows, n)                                                                                         \
  if (direct) {                                                                                                        \
    PANELS_##n(READ_BIAS, 0) ROWS_##rows(STORE_ROW, n)                                                                 \
  } else {                                                                                                             \
    ROWS_##rows(KEEP_ROW, n)                                                                                           \
  }
#else
#define DIRECT 0
#define STORE_OR_KEEP(rows, n) ROWS_##rows(KEEP_ROW, n)
#endif

// micro_tile_<rows>x<n>: sums of `rows` pixels (the last one again beyond `valid`) by n panels -> out or tile.
#define MICRO_TILE(rows, n)                                                                                            \
  MICRO void micro_tile_##rows##x##n(const int valid, const int n_taps, const int run, const __global int *taps,       \
                                     const __global int *begins, const __global int *sources,                          \
                                     const __global int *targets, const __global float *x,                             \
                                     const __global float16 *panels, const size_t panel_step, const int direct,        \
                                     const float alpha, const float beta, const __global stored *bias,                 \
                                     __global stored *out, float16 *tile) {                                            \
    ROWS_##rows(START_ROW, n) ROWS_##rows(FIND_ROW, n) if (direct) {                                                   \
      ROWS_##rows(EXPECT_ROW, n)                                                                                       \
    }                                                                                                                  \
    for (int t = 0; t < n_taps; ++t) {                                                                                 \
      const __global float *from = x + taps[t];                                                                        \
      const __global float16 *panel = panels + begins[t];                                                              \
      _Pragma("unroll UNROLL_K") for (size_t k = 0; k < run; ++k) {                                                    \
        PANELS_##n(READ_PANEL, 0) ROWS_##rows(ADD_PRODUCTS, n)                                                         \
      }                                                                                                                \
    }                                                                                                                  \
    STORE_OR_KEEP(rows, n)                                                                                             \
  }
#define MICRO_TILES(n) MICRO_TILE(4, n) MICRO_TILE(5, n) MICRO_TILE(6, n)
MICRO_TILES(1)
#if PANELS == 4
MICRO_TILES(2)
MICRO_TILES(4)
#endif

// Whole panels of a pixel-major out.
INLINE void store_panels(const int valid, const int n, const __global int *targets, const int flags, const float alpha,
                         const float beta, const float16 *tile, const __global stored *bias,
                         const __global stored *residual, __global stored *out) {
#pragma unroll 1
  for (int i = 0; i < valid; ++i) {
    const size_t target = targets[i];
#pragma unroll 1
    for (int j = 0; j < n; ++j) {
      float8 left = tile[i * PANELS + j].lo + READ8(bias + j * NR);
      float8 right = tile[i * PANELS + j].hi + READ8(bias + j * NR + 8);
      if (flags & WITH_RESIDUAL) {
        left += READ8(residual + target + j * NR);
        right += READ8(residual + target + j * NR + 8);
      }
      WRITE8(ACTIVATE8(left, alpha, beta), out + target + j * NR);
      WRITE8(ACTIVATE8(right, alpha, beta), out + target + j * NR + 8);
    }
  }
}

// Six pixels of one channel, side by side in out.
INLINE void store_six(float4 first, float fifth, float sixth, const float shift, const int flags, const float alpha,
                      const float beta, const __global stored *residual, __global stored *out) {
  first += (float4)(shift);
  fifth += shift;
  sixth += shift;
  if (flags & WITH_RESIDUAL) {
    first += READ4(residual);
    fifth += READ(residual + 4);
    sixth += READ(residual + 5);
  }
  WRITE4(ACTIVATE4(first, alpha, beta), out);
  WRITE(ACTIVATE(fifth, alpha, beta), out + 4);
  WRITE(ACTIVATE(sixth, alpha, beta), out + 5);
}

// Whole strips of a channel-major out: four channels at a time are turned over in registers.
INLINE void store_strip(const int filters, const size_t step, const int flags, const float alpha, const float beta,
                        const float *tile, const __global stored *bias, const __global stored *residual,
                        __global stored *out) {
#define TILE_ROW(i) (*(const float4_u *)(tile + i * PANELS * NR + j))
#define STORE_CHANNEL(i)                                                                                               \
  store_six(c##i, tile[4 * PANELS * NR + j + i], tile[5 * PANELS * NR + j + i], READ(bias + j + i), flags, alpha,      \
            beta, residual + (j + i) * step, out + (j + i) * step);
#pragma unroll 1
  for (int j = 0; j < filters; j += 4) {
    const float4 r0 = TILE_ROW(0), r1 = TILE_ROW(1), r2 = TILE_ROW(2), r3 = TILE_ROW(3);
    TURN_SQUARE(c, r0, r1, r2, r3)
    STORE_CHANNEL(0)
    STORE_CHANNEL(1)
    STORE_CHANNEL(2)
    STORE_CHANNEL(3)
  }
}

// Any number of filters and pixels, any distance between the channels of a pixel.
INLINE void store_values(const int valid, const int filters, const __global int *targets, const size_t step,
                         const int flags, const float alpha, const float beta, const float *tile,
                         const __global stored *bias, const __global stored *residual, __global stored *out) {
#pragma unroll 1
  for (int j = 0; j < filters; ++j) {
#pragma unroll 1
    for (int i = 0; i < valid; ++i) {
      const size_t target = targets[i] + j * step;
      float v = tile[i * PANELS * NR + j] + READ(bias + j);
      if (flags & WITH_RESIDUAL) {
        v += READ(residual + target);
      }
      WRITE(ACTIVATE(v, alpha, beta), out + target);
    }
  }
}

#define CASE(rows, n)                                                                                                  \
  case rows:                                                                                                           \
    micro_tile_##rows##x##n(valid, n_taps, run, taps, begins, sources + p, targets + p, x, panel, panel_step, direct,  \
                            alpha, beta, bias + filter, out + place, tile);                                            \
    break;
#define BY_ROWS(n)                                                                                                     \
  if (panels_now == n) {                                                                                               \
    switch (max(valid, 4)) {                                                                                           \
      CASE(4, n)                                                                                                       \
      CASE(5, n)                                                                                                       \
      CASE(6, n)                                                                                                       \
    }                                                                                                                  \
  }

// tiles: first pixel, the one after the last, first tap, taps, operands of a tap, of each tile: its pixels meet the same
// taps. depth: products of a panel; step: from one channel of a pixel to the next in out; x_image, out_image: elements.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_cpu(const int depth, const int filters_each, const int n_groups, const int channels_each, const int x_image,
         const int out_image, const int step, const int tile_n, const int flags, const float alpha, const float beta,
         const __global int *restrict tiles, const __global int *restrict taps, const __global int *restrict begins,
         const __global int *restrict sources, const __global int *restrict targets, const __global float *restrict x,
         const __global float *restrict panels, const __global stored *restrict bias,
         const __global stored *restrict residual, __global stored *restrict out) {
  float16 tile[6 * PANELS];
  const int image = get_group_id(2) / n_groups;
  const int group = get_group_id(2) - image * n_groups;
  const int n_panels = (filters_each + NR - 1) / NR;
  const int last = min((int)(get_group_id(1) + 1) * tile_n, n_panels);
  const __global int *own = tiles + 5 * get_group_id(0);
  const int p_end = own[1], n_taps = own[3], run = own[4];
  const size_t panel_step = depth;
  taps += own[2];
  begins += own[2];
  x += (size_t)image * x_image + group * channels_each;
  for (int j = get_group_id(1) * tile_n, panels_now; j < last; j += panels_now) {
    panels_now = last - j >= PANELS ? PANELS : PANELS > 1 && last - j >= 2 ? 2 : 1;
    const __global float16 *panel = (const __global float16 *)panels + (size_t)(group * n_panels + j) * panel_step;
    const int filter = group * filters_each + j * NR;
    const int filters = min(panels_now * NR, filters_each - j * NR);
    const int whole = filters == panels_now * NR;
    const int direct = DIRECT && whole && step == 1 && !(flags & WITH_RESIDUAL);
    const size_t place = (size_t)image * out_image + (size_t)filter * step;
    int p = own[0];
    for (int strips = (p_end - p + 5) / 6; strips > 0; --strips) {
      // Equal strips: a last one of a single pixel would cost as much as a whole one.
      const int valid = (p_end - p + strips - 1) / strips;
      BY_ROWS(1)
#if PANELS == 4
      BY_ROWS(2)
      BY_ROWS(4)
#endif
      if (whole && step == 1) {
        if (!direct) {
          store_panels(valid, panels_now, targets + p, flags, alpha, beta, tile, bias + filter, residual + place,
                       out + place);
        }
      } else if (filters % 4 == 0 && valid == 6 && (flags & ADJOINING)) {
        store_strip(filters, step, flags, alpha, beta, (const float *)tile, bias + filter, residual + place + targets[p],
                    out + place + targets[p]);
      } else {
        store_values(valid, filters, targets + p, step, flags, alpha, beta, (const float *)tile, bias + filter,
                     residual + place, out + place);
      }
      p += valid;
    }
  }
}
