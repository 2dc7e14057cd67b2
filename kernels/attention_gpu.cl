// attention for wavefronts: a work-group of WG_X x WG_Y items takes TILE_M rows of all keys, TILE_N at a time.
//
// Shapes, places, mask and limit as in attention.cl, rows that share keys as in attention_cpu.cl. NDRange: (WG_X,
// ceil(rows_per_pair / TILE_M) * WG_Y, B*G). For each tile of keys: scores on a register tile of 4x4 per item from
// chunks of queries and keys in LDS; the running maximum and sum of each row, shared by its WG_X items through LDS;
// then the weights, through LDS too, times chunks of values, on 4 x PER_ITEM_E sums per item. No T x S buffer.
//
// Traffic from memory: k and v once per TILE_M rows, q once per TILE_N keys, mostly from L2; out once. On a 4x4 tile
// LDS keeps up with the multiply-adds. With 64 values a head LDS, 26 KiB a
// group, leaves two groups a CU, so the 115 VGPRs that clang 18 takes for gfx803 cost no wave (not run on a card).

#include "exp.h"
#include "head_place.h"
#include "lanes.h"
#include "mac.h"
#include "storage.h"

// Items along keys and values, and along rows; unit: work-items. WG_X is fixed: columns of 4 * 16 = 64.
#define WG_X 16
#ifndef WG_Y
#define WG_Y 16
#endif
// Values of a head per item; unit: columns, a multiple of 4: WG_X * PER_ITEM_E must be E or more.
#ifndef PER_ITEM_E
#define PER_ITEM_E 4
#endif
// Depth of the chunks of queries and keys; unit: values of a head. Fixed: 64 bytes of each row.
#define TILE_K 16
// Keys of a chunk of values; unit: rows. What is left of 8 KiB by the head's width, at most 16.
#if PER_ITEM_E > 8
#define TILE_V 8
#else
#define TILE_V 16
#endif

#define ITEMS (WG_X * WG_Y)
#define TILE_M (WG_Y * 4)
#define TILE_N (WG_X * 4)
// One float4 more per column spreads scattered writes over more banks.
#define PITCH_Q (TILE_M / 4 + 1)
#define PITCH_K (TILE_N / 4 + 1)
#define PITCH_P (TILE_M / 4 + 1)
#define WIDTH_V (WG_X * PER_ITEM_E / 4)
#define CHUNKS (TILE_K * (PITCH_Q + PITCH_K))
#define SHARED (CHUNKS > TILE_V * WIDTH_V ? CHUNKS : TILE_V * WIDTH_V)

DEFINE_EXP(exp_4, float4, int4)

#define EACH_ROW(DO) DO(0, x) DO(1, y) DO(2, z) DO(3, w)
// fmax drops a NaN, which is well: the row's sum meets that NaN again.
#define LARGEST(v) fmax(fmax((v).x, (v).y), fmax((v).z, (v).w))
#define LANE_SUM(v) JOIN_4(lanes_added, 0.0f, (v).x, (v).y, (v).z, (v).w)

// Four values from row[at ..), zeros from `end` on or where the row itself is outside.
static inline float4 read_inside(const __global stored *row, const int at, const int end, const int row_inside) {
  float4 v = (float4)(0.0f);
  if (row_inside && at + 4 <= end) {
    v = READ4(row + at);
  } else if (row_inside) {
    v.x = at + 0 < end ? READ(row + at + 0) : 0.0f;
    v.y = at + 1 < end ? READ(row + at + 1) : 0.0f;
    v.z = at + 2 < end ? READ(row + at + 2) : 0.0f;
  }
  return v;
}

// n rows of TILE_K values from column `at` on -> tile (TILE_K, pitch) of four rows each.
#define KEEP_CHUNK(n, rows, offset, step, present, tile, pitch)                                                        \
  _Pragma("unroll") for (int l = 0; l < (n) * TILE_K / 4 / ITEMS; ++l) {                                               \
    const int r = l * (ITEMS / 4) + item / 4;                                                                          \
    const float4 v = read_inside((rows) + (offset) + l * (step), at + (item & 3) * 4, D, r < (present));               \
    __local float *to = (__local float *)(tile) + (item & 3) * 16 * (pitch) + r;                                       \
    to[0] = v.x;                                                                                                       \
    to[4 * (pitch)] = v.y;                                                                                             \
    to[8 * (pitch)] = v.z;                                                                                             \
    to[12 * (pitch)] = v.w;                                                                                            \
  }

// The joined values of a row's WG_X items, for four rows.
#define JOIN_ROWS(JOIN, mine, joined)                                                                                  \
  barrier(CLK_LOCAL_MEM_FENCE); /* what was there has been read */                                                     \
  {                                                                                                                    \
    __local float *to = (__local float *)(weights + x * PITCH_P + y);                                                  \
    to[0] = mine.x;                                                                                                    \
    to[1] = mine.y;                                                                                                    \
    to[2] = mine.z;                                                                                                    \
    to[3] = mine.w;                                                                                                    \
  }                                                                                                                    \
  barrier(CLK_LOCAL_MEM_FENCE); /* all are there */                                                                    \
  joined = weights[y];                                                                                                 \
  _Pragma("unroll 3") for (int other = 1; other < WG_X; ++other) {                                                     \
    const float4 theirs = weights[other * PITCH_P + y];                                                                \
    joined = JOIN(theirs, joined);                                                                                     \
  }
#define ADD(a, b) ((a) + (b))

__kernel __attribute__((reqd_work_group_size(WG_X, WG_Y, 1))) void
attention_gpu(const __global stored *q, const __global stored *k, const __global stored *v, const __global stored *mask,
              __global stored *out, const int H, const int G, const int T, const int S, const int D, const int E,
              const float scale, const int limit, const int has_mask, const uint mask_b, const uint mask_h,
              const uint mask_t, const uint mask_s, const uint4 q_at, const uint4 k_at, const uint4 v_at,
              const uint4 out_at) {
  __local float4 weights[TILE_N * PITCH_P]; // [key][row]
  __local float4 shared[SHARED];            // queries [d][row] and keys [d][key], or values [key][column]
  __local float4 *tile_q = shared, *tile_k = shared + TILE_K * PITCH_Q;
  const int x = get_local_id(0), y = get_local_id(1), item = y * WG_X + x;
  // Remainders by hand: LLVM joins a quotient and its remainder by an instruction that Oclgrind does not know.
  const int pair = get_group_id(2), b = pair / G, g = pair - b * G;
  const int row0 = get_group_id(1) * TILE_M, rows = min(TILE_M, H / G * T - row0);
  q += PLACE_OF(q_at, b, g) + (size_t)row0 * q_at.w;
  k += PLACE_OF(k_at, b, g);
  v += PLACE_OF(v_at, b, g);
  out += PLACE_OF(out_at, b, g) + (size_t)row0 * out_at.w;
  // Of this item's four rows: the last key each sees, and where its part of the mask begins.
  int4 last = (int4)(0);
  uint4 row_mask = (uint4)(0);
#define PLACE(i, lane)                                                                                                 \
  {                                                                                                                    \
    const int row = min(row0 + y * 4 + i, row0 + rows - 1), head = row / T, t = row - head * T;                        \
    last.lane = min((long)S - 1, (long)limit + t);                                                                     \
    row_mask.lane = b * mask_b + (g * (H / G) + head) * mask_h + t * mask_t + x * 4 * mask_s;                          \
  }
  EACH_ROW(PLACE)
  // The last key that any row of the group sees: its last row's, unless it ends a head before.
  const int end_head = (row0 + rows - 1) / T;
  const int most_t = row0 / T == end_head ? row0 + rows - 1 - end_head * T : T - 1;
  const int end = min((long)S, (long)limit + most_t + 1);
  const int own_q = item / 4 * q_at.w, step_q = ITEMS / 4 * q_at.w;
  const int own_k = item / 4 * k_at.w, step_k = ITEMS / 4 * k_at.w;
  const int column = (item & (WIDTH_V - 1)) * 4, own_key = item / WIDTH_V;
  const int own_v = own_key * v_at.w, step_v = ITEMS / WIDTH_V * v_at.w;
  float4 sums[4][PER_ITEM_E / 4];
#pragma unroll
  for (int j = 0; j < PER_ITEM_E / 4; ++j) {
    sums[0][j] = sums[1][j] = sums[2][j] = sums[3][j] = (float4)(0.0f);
  }
  float4 maxima = (float4)(-INFINITY), totals = (float4)(0.0f);
  for (int first = 0; first < end; first += TILE_N, k += (size_t)TILE_N * k_at.w) {
    float4 s0 = (float4)(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (int at = 0; at < D; at += TILE_K) {
      barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the last chunk
      KEEP_CHUNK(TILE_M, q, own_q, step_q, rows, tile_q, PITCH_Q)
      KEEP_CHUNK(TILE_N, k, own_k, step_k, end - first, tile_k, PITCH_K)
      barrier(CLK_LOCAL_MEM_FENCE); // the chunk is complete
#pragma unroll
      for (int d = 0; d < TILE_K; ++d) {
        const float4 queries = tile_q[d * PITCH_Q + y], keys = tile_k[d * PITCH_K + x];
        s0 = MAC((float4)(queries.x), keys, s0);
        s1 = MAC((float4)(queries.y), keys, s1);
        s2 = MAC((float4)(queries.z), keys, s2);
        s3 = MAC((float4)(queries.w), keys, s3);
      }
    }
    const int4 keys = first + x * 4 + (int4)(0, 1, 2, 3);
#define FINISH(i, lane)                                                                                                \
  s##i *= scale;                                                                                                       \
  if (has_mask) {                                                                                                      \
    const __global stored *from = mask + row_mask.lane;                                                                \
    s##i.x += keys.x < S ? READ(from) : 0.0f;                                                                          \
    s##i.y += keys.y < S ? READ(from + mask_s) : 0.0f;                                                                 \
    s##i.z += keys.z < S ? READ(from + 2 * mask_s) : 0.0f;                                                             \
    s##i.w += keys.w < S ? READ(from + 3 * mask_s) : 0.0f;                                                             \
  }                                                                                                                    \
  s##i = keys > (int4)(last.lane) ? (float4)(-INFINITY) : s##i;
    EACH_ROW(FINISH)
    float4 mine = (float4)(LARGEST(s0), LARGEST(s1), LARGEST(s2), LARGEST(s3)), top;
    row_mask += TILE_N * mask_s;
    JOIN_ROWS(fmax, mine, top)
    top = fmax(top, maxima);
    const float4 shift = top == (float4)(-INFINITY) ? (float4)(0.0f) : top; // nothing seen so far
    const float4 factors = exp_4(maxima - shift);
    maxima = top;
#define WEIGH(i, lane)                                                                                                 \
  s##i = exp_4(s##i - shift.lane);                                                                                     \
  _Pragma("unroll") for (int j = 0; j < PER_ITEM_E / 4; ++j) { sums[i][j] *= factors.lane; }
    EACH_ROW(WEIGH)
    mine = (float4)(LANE_SUM(s0), LANE_SUM(s1), LANE_SUM(s2), LANE_SUM(s3));
    totals = MAC(totals, factors, mine); // of this item's keys alone
    barrier(CLK_LOCAL_MEM_FENCE);        // the maxima have been read
#define KEEP_WEIGHTS(i, lane)                                                                                          \
  to[i] = s##i.x;                                                                                                      \
  to[i + 4 * PITCH_P] = s##i.y;                                                                                        \
  to[i + 8 * PITCH_P] = s##i.z;                                                                                        \
  to[i + 12 * PITCH_P] = s##i.w;
    __local float *to = (__local float *)(weights + x * 4 * PITCH_P + y);
    EACH_ROW(KEEP_WEIGHTS)
    for (int key = 0; key < TILE_N; key += TILE_V, v += (size_t)TILE_V * v_at.w) {
      barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the last chunk, and the weights are there
#pragma unroll
      for (int l = 0; l < TILE_V * WIDTH_V / ITEMS; ++l) {
        const int inside = first + key + own_key + l * (ITEMS / WIDTH_V) < end;
        shared[l * ITEMS + item] = read_inside(v + own_v + l * step_v, column, E, inside);
      }
      barrier(CLK_LOCAL_MEM_FENCE); // the chunk is complete
#pragma unroll
      for (int n = 0; n < TILE_V; ++n) {
        const float4 weight = weights[(key + n) * PITCH_P + y];
#pragma unroll
        for (int j = 0; j < PER_ITEM_E / 4; ++j) {
          const float4 values = shared[n * WIDTH_V + j * WG_X + x];
          sums[0][j] = MAC((float4)(weight.x), values, sums[0][j]);
          sums[1][j] = MAC((float4)(weight.y), values, sums[1][j]);
          sums[2][j] = MAC((float4)(weight.z), values, sums[2][j]);
          sums[3][j] = MAC((float4)(weight.w), values, sums[3][j]);
        }
      }
    }
  }
  float4 total;
  JOIN_ROWS(ADD, totals, total)
  const float4 factors = total == (float4)(0.0f) ? (float4)(0.0f) : 1.0f / total;
#define STORE_ROW(i, lane)                                                                                             \
  if (y * 4 + i < rows) {                                                                                              \
    __global stored *to = out + (size_t)(y * 4 + i) * out_at.w;                                                        \
    _Pragma("unroll") for (int j = 0; j < PER_ITEM_E / 4; ++j) {                                                       \
      const int at = (j * WG_X + x) * 4;                                                                               \
      const float4 values = sums[i][j] * factors.lane;                                                                 \
      if (at + 4 <= E) {                                                                                               \
        WRITE4(values, to + at);                                                                                       \
      } else {                                                                                                         \
        if (at + 0 < E) {                                                                                              \
          WRITE(values.x, to + at + 0);                                                                                \
        }                                                                                                              \
        if (at + 1 < E) {                                                                                              \
          WRITE(values.y, to + at + 1);                                                                                \
        }                                                                                                              \
        if (at + 2 < E) {                                                                                              \
          WRITE(values.z, to + at + 2);                                                                                \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
  EACH_ROW(STORE_ROW)
}
