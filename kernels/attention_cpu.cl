// attention for processors with vector registers and caches: a work-item takes TILE_M rows of all keys, block by block.
//
// Shapes, places, mask and limit as in attention.cl. Rows of heads that share keys lie one after another in q: they are
// one matrix of rows_per_pair = H/G * T rows. Work-groups of one; NDRange: (ceil(rows_per_pair / TILE_M), B*G).
//
// For each block of TILE_N keys: scores, transposed, so that lanes are queries and the softmax never adds across lanes;
// the running maximum and sum of each query (M. Milakov and N. Gimelshein 2018, arXiv 1805.02867; T. Dao et al. 2022,
// arXiv 2205.14135); then the weighted values on top of the rescaled sums. Both products are micro_tile.h's: keys are
// its A and the item's own queries, packed once, its B; then weights are A and values B. So keys, and values with whole
// vectors in fp32, are read in place. From memory: q, out once; k, v once per TILE_M rows, mostly from L2.

#include "micro_tile.h"
#include "exp.h"
#include "head_place.h"
#include "storage.h"

// Queries of a work-item; unit: rows, a multiple of 48: whole panels of NR and whole strips of six.
#ifndef TILE_M
#define TILE_M 48
#endif
// Keys of a block; unit: rows, a multiple of 6. Scores take TILE_M * TILE_N * 4 bytes, and must leave L1 some room.
#ifndef TILE_N
#define TILE_N 96
#endif
// Steps of an inner product per turn of the inner loop; unit: steps.
#ifndef UNROLL_K
#define UNROLL_K 4
#endif
// 1: copy each block of values to local memory as whole vectors of fp32; 0: read them in place, fp32 with E % 16 == 0.
#ifndef COPY_V
#define COPY_V 1
#endif

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define LOCAL16(p) (*(__local float16_u *)(p))
typedef int16 int16_u __attribute__((aligned(4)));

DEFINE_EXP(exp_16, float16, int16)

#if HALF
typedef const __local float *key_pointer;
#else
typedef const __global float *key_pointer;
#endif
#if COPY_V
typedef const __local float *value_pointer;
typedef const __local float8_u *value_vectors;
#else
typedef const __global float *value_pointer;
typedef const __global float8_u *value_vectors;
#endif

#define A_OF(i) (a[i * row_stride + k * k_stride])
#define KEEP_SCORES(i)                                                                                                 \
  *(__local float8_u *)(scores + i * TILE_M) = left##i;                                                                \
  *(__local float8_u *)(scores + i * TILE_M + 8) = right##i;
#define ADD_TO_SUMS(i)                                                                                                 \
  {                                                                                                                    \
    __local float8_u *to = (__local float8_u *)(sums + i * width);                                                     \
    const float8 factor = (float8)(factors[i]);                                                                        \
    to[0] = MAC(to[0], factor, left##i);                                                                               \
    to[1] = MAC(to[1], factor, right##i);                                                                              \
  }

// score_<count>: so many keys (depth) x a panel of queries (depth, NR) -> scores[0..count)[0..NR).
#define SCORE(count)                                                                                                   \
  INLINE void score_##count(const int depth, key_pointer a, const size_t row_stride, const __local float8_u *panel,    \
                            __local float *scores) {                                                                   \
    const size_t k_stride = 1;                                                                                         \
    ROWS_##count(ZERO_SUMS) _Pragma("unroll UNROLL_K") for (int k = 0; k < depth; ++k) {                               \
      const float8 b_left = panel[2 * k], b_right = panel[2 * k + 1];                                                  \
      ROWS_##count(ADD_PRODUCTS)                                                                                       \
    }                                                                                                                  \
    ROWS_##count(KEEP_SCORES)                                                                                          \
  }
SCORE(1)
SCORE(6)

// sums[0..6)[0..NR) = sums * factors + weights (depth keys, of six queries) x values (depth, NR).
INLINE void value_6(const int depth, const __local float *a, value_pointer values, const size_t value_stride,
                    const __local float *factors, __local float *sums, const int width) {
  const size_t row_stride = 1, k_stride = TILE_M;
  ROWS_6(ZERO_SUMS)
  _Pragma("unroll UNROLL_K") for (int k = 0; k < depth; ++k) {
    const float8 b_left = *(value_vectors)(values + k * value_stride);
    const float8 b_right = *(value_vectors)(values + k * value_stride + 8);
    ROWS_6(ADD_PRODUCTS)
  }
  ROWS_6(ADD_TO_SUMS)
}

// scores (TILE_N, TILE_M) of n keys with the item's queries. The last strip of six begins early enough to be whole.
INLINE void score_block(const int n, const int n_panels, const int D, key_pointer keys, const size_t key_stride,
                        const __local float *queries, __local float *scores) {
  for (int s = 0; s < n; s += n < 6 ? 1 : 6) {
    const int first = n < 6 ? s : min(s, n - 6);
    for (int p = 0; p < n_panels; ++p) {
      const __local float8_u *panel = (const __local float8_u *)(queries + p * D * NR);
      key_pointer a = keys + first * key_stride;
      __local float *to = scores + first * TILE_M + p * NR;
      if (n < 6) {
        score_1(D, a, key_stride, panel, to);
      } else {
        score_6(D, a, key_stride, panel, to);
      }
    }
  }
}

// sums (TILE_M, width) = sums * factors + weights^T x n values; also for up to five rows that nobody asked for.
INLINE void value_block(const int n, const int rows, const int width, value_pointer values, const size_t value_stride,
                        const __local float *weights, const __local float *factors, __local float *sums) {
  for (int e = 0; e < width; e += NR) {
    for (int r = 0; r < rows; r += 6) {
      value_6(n, weights + r, values + e, value_stride, factors + r, sums + r * width + e, width);
    }
  }
}

// Scores of n keys -> weights, beside the new running maxima and totals and the factors of what was summed before.
INLINE void weigh(const int n, const int n_panels, __local float *scores, __local float *maxima, __local float *totals,
                  __local float *factors) {
  for (int p = 0; p < n_panels * NR; p += NR) {
    float16 even = LOCAL16(maxima + p), odd = even;
    const float16 before = even;
    int k = 0;
    for (; k + 2 <= n; k += 2) {
      const float16 s0 = LOCAL16(scores + k * TILE_M + p), s1 = LOCAL16(scores + (k + 1) * TILE_M + p);
      even = MAX(s0, even); // as maxps, which drops a NaN; the total meets it again
      odd = MAX(s1, odd);
    }
    if (k < n) {
      const float16 s0 = LOCAL16(scores + k * TILE_M + p);
      even = MAX(s0, even);
    }
    const float16 top = MAX(odd, even);
    const float16 shift = top == (float16)(-INFINITY) ? (float16)(0.0f) : top; // nothing seen so far
    const float16 factor = exp_16(before - shift);
    float16 total = LOCAL16(totals + p) * factor;
    for (k = 0; k < n; ++k) {
      const float16 weight = exp_16(LOCAL16(scores + k * TILE_M + p) - shift);
      LOCAL16(scores + k * TILE_M + p) = weight;
      total += weight;
    }
    LOCAL16(maxima + p) = top;
    LOCAL16(totals + p) = total;
    LOCAL16(factors + p) = factor;
  }
}

// The same key of eight rows of the mask. Element by element: where clang shuffles rows into columns, it makes undefined
// lanes, on which Oclgrind's uninitialized check crashes.
INLINE float8 mask_column(const __global stored *mask, const __local uint *at) {
  return (float8)(READ(mask + at[0]), READ(mask + at[1]), READ(mask + at[2]), READ(mask + at[3]), READ(mask + at[4]),
                  READ(mask + at[5]), READ(mask + at[6]), READ(mask + at[7]));
}

// Adds the mask of n keys from `first` on to the scores. The queries' own places in it are row_masks.
INLINE void add_mask(const int n, const int rows, const int n_panels, const __global stored *mask, const size_t mask_s,
                     const int shared, const __local uint *row_masks, __local float *scores) {
  if (shared) { // by all queries
    for (int k = 0; k < n; ++k) {
      const float add = READ(mask + row_masks[0] + k * mask_s);
      for (int p = 0; p < n_panels * NR; p += NR) {
        LOCAL16(scores + k * TILE_M + p) += add;
      }
    }
    return;
  }
  int r = 0;
  for (; r + 8 <= rows; r += 8) {
    for (int k = 0; k < n; ++k) {
      *(__local float8_u *)(scores + k * TILE_M + r) += mask_column(mask + k * mask_s, row_masks + r);
    }
  }
  for (; r < rows; ++r) {
    for (int k = 0; k < n; ++k) {
      scores[k * TILE_M + r] += READ(mask + row_masks[r] + k * mask_s);
    }
  }
}

// -infinity where key `first` + k lies past a query's limit.
INLINE void hide(const int n, const int n_panels, const int first, const __local int *limits, __local float *scores) {
  for (int p = 0; p < n_panels * NR; p += NR) {
    const int16 limit = *(const __local int16_u *)(limits + p);
    for (int k = 0; k < n; ++k) {
      const float16 s = LOCAL16(scores + k * TILE_M + p);
      LOCAL16(scores + k * TILE_M + p) = (int16)(first + k) > limit ? (float16)(-INFINITY) : s;
    }
  }
}

// n rows of `length` values, `stride` apart -> n rows of `width`, zeros to the right.
INLINE void widen(const int n, const int length, const size_t stride, const int width, const __global stored *from,
                  __local float *to) {
  for (int r = 0; r < n; ++r, from += stride, to += width) {
    int i = 0;
    for (; i + 8 <= length; i += 8) {
      *(__local float8_u *)(to + i) = READ8(from + i);
    }
    for (; i < width; ++i) {
      to[i] = i < length ? READ(from + i) : 0.0f;
    }
  }
}

// rows queries -> panels (D, NR) side by side, times scale, zeros beyond the last row; and all that runs along them.
INLINE void begin(const int rows, const int n_panels, const int D, const int width, const float scale,
                  const __global stored *q, const size_t stride, __local float *queries, __local float *scores,
                  __local float *sums, __local float *maxima, __local float *totals, __local float *factors) {
  for (int r = 0; r < n_panels * NR; ++r) {
    __local float *to = queries + (r & -NR) * D + (r & (NR - 1));
    for (int d = 0; d < D; ++d) {
      to[d * NR] = r < rows ? READ(q + r * stride + d) * scale : 0.0f;
    }
    maxima[r] = -INFINITY;
    totals[r] = 0.0f;
  }
  const int whole = (rows + 5) / 6 * 6;
  for (int i = 0; i < whole * width; i += NR) {
    LOCAL16(sums + i) = (float16)(0.0f);
  }
  // A last strip of six that is wider than the panels weighs by these.
  for (int r = n_panels * NR; r < whole; ++r) {
    factors[r] = 0.0f;
    for (int k = 0; k < TILE_N; ++k) {
      scores[k * TILE_M + r] = 0.0f;
    }
  }
}

INLINE void finish(const int rows, const int E, const int width, const __local float *totals, const __local float *sums,
                   __global stored *out, const size_t stride) {
  for (int r = 0; r < rows; ++r, out += stride, sums += width) {
    const float factor = totals[r] == 0.0f ? 0.0f : 1.0f / totals[r];
    int e = 0;
    for (; e + 8 <= E; e += 8) {
      WRITE8(*(const __local float8_u *)(sums + e) * factor, out + e);
    }
    for (; e < E; ++e) {
      WRITE(sums[e] * factor, out + e);
    }
  }
}

// Local memory: queries TILE_M * D, scores TILE_N * TILE_M, sums TILE_M * E', E' = E rounded up to NR, 5 * TILE_M more
// in `lanes`; keys TILE_N * D with HALF, values TILE_N * E' with COPY_V, else one float each.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_cpu(const __global stored *q, const __global stored *k, const __global stored *v, const __global stored *mask,
              __global stored *out, __local float *queries, __local float *scores, __local float *sums,
              __local float *lanes, __local float *keys, __local float *values, const int H, const int G, const int T,
              const int S, const int D, const int E, const float scale, const int limit, const int has_mask,
              const uint mask_b, const uint mask_h, const uint mask_t, const uint mask_s, const uint4 q_at,
              const uint4 k_at, const uint4 v_at, const uint4 out_at) {
  // Remainders by hand: LLVM joins a quotient and its remainder by an instruction that Oclgrind does not know.
  const int pair = get_group_id(1), b = pair / G, g = pair - b * G;
  const int row0 = get_group_id(0) * TILE_M, rows = min(TILE_M, H / G * T - row0);
  const int n_panels = (rows + NR - 1) / NR, width = (E + NR - 1) / NR * NR;
  __local float *maxima = lanes, *totals = lanes + TILE_M, *factors = lanes + 2 * TILE_M;
  __local int *limits = (__local int *)(lanes + 3 * TILE_M);
  __local uint *row_masks = (__local uint *)(lanes + 4 * TILE_M);
  q += PLACE_OF(q_at, b, g) + (size_t)row0 * q_at.w;
  k += PLACE_OF(k_at, b, g);
  v += PLACE_OF(v_at, b, g);
  out += PLACE_OF(out_at, b, g) + (size_t)row0 * out_at.w;
  begin(rows, n_panels, D, width, scale, q, q_at.w, queries, scores, sums, maxima, totals, factors);
  int most = 0, least = S;
  for (int r = 0; r < n_panels * NR; ++r) {
    const int head = (row0 + r) / T, t = row0 + r - head * T, h = g * (H / G) + head;
    limits[r] = r < rows ? min((long)S - 1, (long)limit + t) : S;
    row_masks[r] = b * mask_b + h * mask_h + t * mask_t;
    most = r < rows ? max(most, limits[r] + 1) : most;
    least = min(least, limits[r]);
  }
  for (int first = 0; first < most; first += TILE_N) {
    const int n = min(TILE_N, most - first);
#if HALF
    widen(n, D, k_at.w, D, k + (size_t)first * k_at.w, keys);
    score_block(n, n_panels, D, keys, D, queries, scores);
#else
    score_block(n, n_panels, D, k + (size_t)first * k_at.w, k_at.w, queries, scores);
#endif
    if (has_mask) {
      add_mask(n, rows, n_panels, mask + (size_t)first * mask_s, mask_s, mask_h == 0 && mask_t == 0, row_masks, scores);
    }
    if (first + n - 1 > least) {
      hide(n, n_panels, first, limits, scores);
    }
    weigh(n, n_panels, scores, maxima, totals, factors);
#if COPY_V
    widen(n, E, v_at.w, width, v + (size_t)first * v_at.w, values);
    value_block(n, rows, width, values, width, scores, factors, sums);
#else
    value_block(n, rows, width, v + (size_t)first * v_at.w, v_at.w, scores, factors, sums);
#endif
  }
  finish(rows, E, width, totals, sums, out, out_at.w);
}
