// attention for processors when few rows share the keys, as in decoding: one pass over keys and values, row by row.
//
// Shapes, places, mask and limit as in attention.cl, rows as in attention_cpu.cl. Work-groups of one; NDRange: (B*G). Lanes run
// along the head, so nothing is transposed and no lane idles for want of rows. From memory: each of q, k, v, out once;
// the rows of a group of heads read a block of keys and values again from L1.

#include "exp.h"
#include "head_place.h"
#include "lanes.h"
#include "mac.h"
#include "storage.h"

// Keys of a block; unit: rows, a multiple of 16. 64 keys and values of 64 floats each fill L1.
#ifndef TILE_N
#define TILE_N 64
#endif

#define INLINE static inline __attribute__((always_inline))

DEFINE_EXP(exp_16, float16, int16)
DEFINE_EXP(exp_of, float, int)

// Four keys, `stride` apart, times one query.
INLINE float4 dots_of(const __local float *q, const __global stored *k, const size_t stride, const int D) {
  const __global stored *k1 = k + stride, *k2 = k1 + stride, *k3 = k2 + stride;
  float8 s0 = (float8)(0.0f), s1 = s0, s2 = s0, s3 = s0;
  int d = 0;
  for (; d + 8 <= D; d += 8) {
    const float8 x = *(const __local float8_u *)(q + d);
    s0 = MAC(x, READ8(k + d), s0);
    s1 = MAC(x, READ8(k1 + d), s1);
    s2 = MAC(x, READ8(k2 + d), s2);
    s3 = MAC(x, READ8(k3 + d), s3);
  }
  float4 sums = (float4)(SUM_8(s0), SUM_8(s1), SUM_8(s2), SUM_8(s3));
  for (; d < D; ++d) {
    sums = MAC((float4)(q[d]), (float4)(READ(k + d), READ(k1 + d), READ(k2 + d), READ(k3 + d)), sums);
  }
  return sums;
}

INLINE float dot_of(const __local float *q, const __global stored *k, const int D) {
  float8 s = (float8)(0.0f);
  int d = 0;
  for (; d + 8 <= D; d += 8) {
    s = MAC(*(const __local float8_u *)(q + d), READ8(k + d), s);
  }
  float sum = SUM_8(s);
  for (; d < D; ++d) {
    sum = MAC(q[d], READ(k + d), sum);
  }
  return sum;
}

// Scores of n keys with one query; -infinity from n to the next multiple of 16. Returns the largest.
INLINE float score_row(const int n, const int D, const __local float *q, const __global stored *k, const size_t stride,
                       const __global stored *mask, const int has_mask, const size_t mask_s, __local float *scores) {
  float top = -INFINITY;
  int s = 0;
  for (; s + 4 <= n; s += 4) {
    float4 four = dots_of(q, k + s * stride, stride, D);
    if (has_mask) {
      const __global stored *from = mask + s * mask_s;
      four += (float4)(READ(from), READ(from + mask_s), READ(from + 2 * mask_s), READ(from + 3 * mask_s));
    }
    *(__local float4_u *)(scores + s) = four;
    top = JOIN_4(lanes_larger, top, four.x, four.y, four.z, four.w);
  }
  for (; s < n; ++s) {
    const float score = dot_of(q, k + s * stride, D) + (has_mask ? READ(mask + s * mask_s) : 0.0f);
    scores[s] = score;
    top = lanes_larger(score, top);
  }
  for (; s % 16 != 0; ++s) {
    scores[s] = -INFINITY;
  }
  return top;
}

// sums[0..8*vectors) = sums * factor + n weights x values, whose rows are `stride` apart.
#define VALUES_OF(vectors, EACH)                                                                                       \
  INLINE void values_##vectors(const int n, const __local float *weights, const __global stored *v,                    \
                               const size_t stride, const float factor, __local float *sums) {                         \
    __local float8_u *to = (__local float8_u *)sums;                                                                   \
    EACH(RESCALE)                                                                                                      \
    for (int s = 0; s < n; ++s, v += stride) {                                                                         \
      const float8 weight = (float8)(weights[s]);                                                                      \
      EACH(WEIGH)                                                                                                      \
    }                                                                                                                  \
    EACH(KEEP)                                                                                                         \
  }
#define RESCALE(i) float8 sum##i = to[i] * factor;
#define WEIGH(i) sum##i = MAC(weight, READ8(v + 8 * i), sum##i);
#define KEEP(i) to[i] = sum##i;
#define EACH_1(DO) DO(0)
#define EACH_8(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
VALUES_OF(1, EACH_1)
VALUES_OF(8, EACH_8)

INLINE void value_row(const int n, const int E, const __local float *weights, const __global stored *v,
                      const size_t stride, const float factor, __local float *sums) {
  int e = 0;
  for (; e + 64 <= E; e += 64) {
    values_8(n, weights, v + e, stride, factor, sums + e);
  }
  for (; e + 8 <= E; e += 8) {
    values_1(n, weights, v + e, stride, factor, sums + e);
  }
  for (; e < E; ++e) {
    float sum = sums[e] * factor;
    for (int s = 0; s < n; ++s) {
      sum = MAC(weights[s], READ(v + s * stride + e), sum);
    }
    sums[e] = sum;
  }
}

// Local memory: queries rows * D, sums rows * E, lanes 2 * rows + TILE_N; rows = H/G * T.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_cpu_few(const __global stored *q, const __global stored *k, const __global stored *v,
                  const __global stored *mask, __global stored *out, __local float *queries, __local float *sums,
                  __local float *lanes, const int H, const int G, const int T, const int S, const int D, const int E,
                  const float scale, const int limit, const int has_mask, const uint mask_b, const uint mask_h,
                  const uint mask_t, const uint mask_s, const uint4 q_at, const uint4 k_at, const uint4 v_at,
                  const uint4 out_at) {
  // Remainders by hand: LLVM joins a quotient and its remainder by an instruction that Oclgrind does not know.
  const int pair = get_group_id(0), b = pair / G, g = pair - b * G, rows = H / G * T;
  __local float *maxima = lanes, *totals = lanes + rows, *scores = lanes + 2 * rows;
  q += PLACE_OF(q_at, b, g);
  k += PLACE_OF(k_at, b, g);
  v += PLACE_OF(v_at, b, g);
  out += PLACE_OF(out_at, b, g);
  for (int r = 0; r < rows; ++r) {
    for (int d = 0; d < D; ++d) {
      queries[r * D + d] = READ(q + (size_t)r * q_at.w + d) * scale;
    }
  }
  for (int i = 0; i < rows * E; ++i) {
    sums[i] = 0.0f;
  }
  for (int r = 0; r < rows; ++r) {
    maxima[r] = -INFINITY;
    totals[r] = 0.0f;
  }
  for (int first = 0; first < S; first += TILE_N) {
    const __global stored *keys = k + (size_t)first * k_at.w, *values = v + (size_t)first * v_at.w;
    for (int r = 0; r < rows; ++r) {
      const int head = r / T, t = r - head * T;
      const int n = min((long)min(TILE_N, S - first), (long)limit + t + 1 - first);
      if (n <= 0) { // the row sees none of this block
        continue;
      }
      const __global stored *row_mask = mask + (size_t)b * mask_b + (size_t)(g * (H / G) + head) * mask_h +
                                        (size_t)t * mask_t + (size_t)first * mask_s;
      const float before = maxima[r];
      const float here = score_row(n, D, queries + r * D, keys, k_at.w, row_mask, has_mask, mask_s, scores);
      const float top = lanes_larger(here, before);
      const float shift = top == -INFINITY ? 0.0f : top;
      const float factor = exp_of(before - shift);
      float16 part = (float16)(0.0f);
      for (int s = 0; s < n; s += 16) {
        const float16 weight = exp_16(*(__local float16_u *)(scores + s) - shift);
        *(__local float16_u *)(scores + s) = weight;
        part += weight;
      }
      maxima[r] = top;
      totals[r] = MAC(totals[r], factor, SUM_16(part));
      value_row(n, E, scores, values, v_at.w, factor, sums + r * E);
    }
  }
  for (int r = 0; r < rows; ++r) {
    const float factor = totals[r] == 0.0f ? 0.0f : 1.0f / totals[r];
    for (int e = 0; e < E; ++e) {
      WRITE(sums[r * E + e] * factor, out + (size_t)r * out_at.w + e);
    }
  }
}
