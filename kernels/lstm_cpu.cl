// A step of an LSTM for processors with vector registers: a work-item takes TILE hidden units of one sequence.
//
// Shapes and types in include/lstm.h, formula as in lstm.cl. The sums of a tile stay in L1 while the state's elements
// pass, four at a time. Work-groups of one; NDRange: (ceil(H / TILE), B, D).

#include "lstm.h"
#include "vec.h"

// Hidden units of a work-item; unit: units.
#ifndef TILE
#define TILE 64
#endif

// Adds the products of `count` elements of the state, v[0] to v[count - 1], to the sums of one gate.
#if BYTES
#define TERM(q) v[q] * (QUANTIZE_VALUE(row[(q) * (size_t)4 * H + j], flip) - zero[j])
#else
#define TERM(q) v[q] * row[(q) * (size_t)4 * H + j]
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void lstm_cpu(LSTM_ARGUMENTS) {
  const uint first = get_group_id(0) * TILE, b = get_group_id(1), d = get_group_id(2);
  const uint n = min((uint)TILE, H - first);
  const size_t line = (size_t)d * B + b, start = line * H + first;
  const uint length = switches & 4 ? (uint)lengths[b] : T;
  if (step >= length) {
    for (uint j = 0; j < n; ++j) {
      h_out[start + j] = h_in[start + j];
      c_out[start + j] = c_in[start + j];
      y[((size_t)step * D * B + line) * H + first + j] = 0.0f;
    }
    return;
  }
  const uint t = backwards >> d & 1 ? length - 1 - step : step;
  const __global float *state = h_in + line * H;
  sum_type sums[4][TILE];
  for (uint g = 0; g < 4; ++g) {
    for (uint j = 0; j < n; ++j) {
      sums[g][j] = 0;
    }
  }
#if BYTES
  const __global float *all = h_in + (size_t)d * B * H;
  float16 lows = (float16)(0.0f), highs = lows;
  uint from = 0;
  for (; from + 16 <= B * H; from += 16) {
    const float16 v = LOAD16(all + from);
    lows = v < lows ? v : lows;
    highs = v > highs ? v : highs;
  }
  float ends[2][16] __attribute__((aligned(64)));
  *(float16 *)ends[0] = lows;
  *(float16 *)ends[1] = highs;
  float low = 0.0f, high = 0.0f;
  for (uint k = 0; k < 16; ++k) {
    low = ends[0][k] < low ? ends[0][k] : low;
    high = ends[1][k] > high ? ends[1][k] : high;
  }
  for (; from < B * H; ++from) {
    low = all[from] < low ? all[from] : low;
    high = all[from] > high ? all[from] : high;
  }
  const float scale = lstm_scale(low, high);
  const int middle = lstm_zero(low, scale);
  const uint at = d * n_scales;
  int zeros[4][TILE];
  for (uint g = 0; g < 4; ++g) {
    for (uint j = 0; j < n; ++j) {
      zeros[g][j] = QUANTIZE_VALUE(r_zero[at + (n_scales > 1 ? g * H + first + j : 0)], flip);
    }
  }
#define STATE(k) ((int)quantized(state[k], scale, middle, 0) - middle)
#else
#define STATE(k) state[k]
#endif
  uint k = 0;
  for (uint step_of; k < H; k += step_of) {
    step_of = k + 4 <= H ? 4 : 1;
    sum_type v[4] = {0, 0, 0, 0};
    for (uint q = 0; q < step_of; ++q) {
      v[q] = STATE(k + q);
    }
    for (uint g = 0; g < 4; ++g) {
      const __global weight *restrict row = r + ((size_t)d * H + k) * 4 * H + g * H + first;
      sum_type *restrict sum = sums[g];
#if BYTES
      const int *restrict zero = zeros[g];
#endif
      if (step_of == 4) {
        for (uint j = 0; j < n; ++j) {
          sum[j] += (TERM(0) + TERM(1)) + (TERM(2) + TERM(3));
        }
      } else {
        for (uint j = 0; j < n; ++j) {
          sum[j] += TERM(0);
        }
      }
    }
  }
  gates += (((size_t)d * T + t) * B + b) * 4 * H;
  for (uint j = 0; j < n; ++j) {
    const uint unit = first + j;
    float parts[4];
    for (uint g = 0; g < 4; ++g) {
#if BYTES
      parts[g] = (float)sums[g][j] * (scale * r_scale[at + (n_scales > 1 ? g * H + unit : 0)]);
#else
      parts[g] = sums[g][j];
#endif
    }
    const float h = lstm_cell((float4)(parts[0], parts[1], parts[2], parts[3]), gates, bias + (size_t)d * 8 * H,
                              peephole + (size_t)d * 3 * H, H, unit, switches, clip, c_in[start + j], c_out + start + j);
    h_out[start + j] = h;
    y[((size_t)t * D * B + line) * H + unit] = h;
  }
}
