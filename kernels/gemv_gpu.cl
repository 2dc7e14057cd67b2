// y = act(alpha * W @ x + bias + residual) for wavefronts: each takes PER_ITEM_N rows of W, its lanes side by side on K.
//
// Shapes: W (N,K); x (R,K), that is R vectors; y and residual (R,N); bias (N); row-major, no padding. W in `stored`
// elements, all else in `value` elements. NDRange: (ceil(N / (WG_Y*PER_ITEM_N)) * 64, WG_Y * R) in groups of 64 x WG_Y.
// Traffic from memory: W once for each vector, as a coalesced float4 per lane; x from L1, once per PER_ITEM_N rows.
//
// Bound by memory: several rows at once keep that many loads of each lane in flight.

#include "lanes.h"
#include "values.h"

// Wavefronts of a group; unit: wavefronts. Four are one for each SIMD of a compute unit.
#ifndef WG_Y
#define WG_Y 4
#endif
// Rows of W per wavefront; unit: rows, 1, 2 or 4.
#ifndef PER_ITEM_N
#define PER_ITEM_N 4
#endif

// Lanes of a wavefront, and into how many of its sums the first step of the reduction leaves.
#define LANES 64
#define COLUMNS (LANES / PER_ITEM_N)

#define INLINE static inline __attribute__((always_inline))

// Four elements of a row, zeros from `left` on.
INLINE float4 weights(const __global stored *p, const int left) {
  float4 v = (float4)(0.0f);
  if (left >= 4) {
    v = READ4(p);
  } else {
    v.x = left > 0 ? READ(p) : 0.0f;
    v.y = left > 1 ? READ(p + 1) : 0.0f;
    v.z = left > 2 ? READ(p + 2) : 0.0f;
  }
  return v;
}
INLINE float4 values(const __global value *p, const int left) {
  float4 v = (float4)(0.0f);
  if (left >= 4) {
    v = READ_VALUE4(p);
  } else {
    v.x = left > 0 ? READ_VALUE(p) : 0.0f;
    v.y = left > 1 ? READ_VALUE(p + 1) : 0.0f;
    v.z = left > 2 ? READ_VALUE(p + 2) : 0.0f;
  }
  return v;
}

__kernel __attribute__((reqd_work_group_size(LANES, WG_Y, 1))) void
gemv_gpu(const int N, const int K, const int R, const __global stored *restrict w, const __global value *restrict x,
         const float alpha, const int has_bias, const __global value *restrict bias, const int has_residual,
         const __global value *restrict residual, const float activation_alpha, const float activation_beta,
         __global value *restrict y) {
  __local float lanes[WG_Y * PER_ITEM_N * LANES];
  const uint lane = get_local_id(0); // unsigned, so that division is a shift
  const int wave = get_local_id(1);
  const int row0 = (get_group_id(0) * WG_Y + wave) * PER_ITEM_N;
  const size_t r = get_group_id(1);
  float4 sums[PER_ITEM_N];
  const __global stored *from[PER_ITEM_N];
#pragma unroll
  for (int i = 0; i < PER_ITEM_N; ++i) {
    sums[i] = (float4)(0.0f);
    from[i] = w + (size_t)min(row0 + i, N - 1) * K + lane * 4; // rows that are not there are read as the last one
  }
  x += r * K + lane * 4;
  int k = 0;
  for (; k + 4 * LANES <= K; k += 4 * LANES, x += 4 * LANES) {
    const float4 v = READ_VALUE4(x);
#pragma unroll
    for (int i = 0; i < PER_ITEM_N; ++i) {
      sums[i] = MAC(READ4(from[i]), v, sums[i]);
      from[i] += 4 * LANES;
    }
  }
  const int left = K - k - (int)lane * 4;
  const float4 v = values(x, left);
#pragma unroll
  for (int i = 0; i < PER_ITEM_N; ++i) {
    sums[i] = MAC(weights(from[i], left), v, sums[i]);
  }
  // [row][lane] -> COLUMNS sums of each row, one by a lane, -> one.
  __local float *mine = lanes + wave * PER_ITEM_N * LANES;
#pragma unroll
  for (int i = 0; i < PER_ITEM_N; ++i) {
    mine[i * LANES + lane] = JOIN_4(lanes_added, 0.0f, sums[i].x, sums[i].y, sums[i].z, sums[i].w);
  }
  barrier(CLK_LOCAL_MEM_FENCE); // all lanes are there
  const uint row = lane / COLUMNS;
  float column = 0.0f;
#pragma unroll
  for (int i = 0; i < PER_ITEM_N; ++i) {
    column += mine[row * LANES + i * COLUMNS + lane % COLUMNS];
  }
  barrier(CLK_LOCAL_MEM_FENCE); // all have read theirs
  mine[lane] = column;
  barrier(CLK_LOCAL_MEM_FENCE); // all columns are there
  const int n = row0 + (int)lane;
  if (lane < PER_ITEM_N && n < N) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < COLUMNS; ++i) {
      sum += mine[lane * COLUMNS + i];
    }
    const size_t at = r * N + n;
    float v = sum * alpha;
    if (has_bias) {
      v += READ_VALUE(bias + n);
    }
    if (has_residual) {
      v += READ_VALUE(residual + at);
    }
    WRITE_VALUE(ACTIVATE(v, activation_alpha, activation_beta), y + at);
  }
}
