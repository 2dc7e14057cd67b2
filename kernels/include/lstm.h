// One step of an LSTM: what a hidden unit does with its four sums, and the state as bytes where weights are bytes.
//
// D directions, B sequences, H hidden units; gates in ONNX's order: input, output, forget, cell. Define BYTES first.
#ifndef RX580LAB_LSTM_H
#define RX580LAB_LSTM_H

#include "activation.h"
#include "quantize.h"

// What r holds; unit: a choice. 0: fp32, 1: int8 or uint8 as flip says, and the state is quantized in every step.
#ifndef BYTES
#define BYTES 0
#endif

#if BYTES
typedef uchar weight;
typedef int sum_type;
#else
typedef float weight;
typedef float sum_type;
#endif

// Arrays: gates (D,T,B,4H) hold the products of the inputs; r (D,H,4H); bias (D,8H); peephole (D,3H): input, output,
// forget; lengths (B); r_scale and r_zero (D) or (D,4H), n_scales of each direction; h, c (D,B,H); y (T,D,B,H).
// Direction d runs backwards where bit d of `backwards` is set. Switches: 1 bias, 2 peephole, 4 lengths.
#define LSTM_ARGUMENTS                                                                                                 \
  const __global float *restrict gates, const __global weight *restrict r, const __global float *restrict bias,        \
      const __global float *restrict peephole, const __global int *restrict lengths,                                   \
      const __global float *restrict r_scale, const __global uchar *restrict r_zero, const __global float *h_in,       \
      const __global float *c_in, __global float *h_out, __global float *c_out, __global float *restrict y,            \
      const uint T, const uint B, const uint H, const uint D, const uint step, const uint backwards,                   \
      const uint switches, const uint n_scales, const int flip, const float clip

// The state of a direction as bytes: their scale and zero point, as DynamicQuantizeLinear has them.
static inline __attribute__((always_inline)) float lstm_scale(const float low, const float high) {
  return (high == low ? 1.0f : high - low) / 255.0f;
}

static inline __attribute__((always_inline)) int lstm_zero(const float low, const float scale) {
  const float middle = -low / scale;
  const float inside = middle > 255.0f ? 255.0f : middle;
  return (int)((inside + QUANTIZE_ROUND) - QUANTIZE_ROUND);
}

// One unit's step from the four sums over the state; returns h and writes c.
static inline __attribute__((always_inline)) float
lstm_cell(const float4 sums, const __global float *gates, const __global float *bias, const __global float *peephole,
          const uint H, const uint j, const uint switches, const float clip, const float before, __global float *c_out) {
  float pre[4] = {sums.x, sums.y, sums.z, sums.w};
  for (uint g = 0; g < 4; ++g) {
    pre[g] += gates[g * H + j];
    if (switches & 1) {
      pre[g] += bias[g * H + j] + bias[(4 + g) * H + j];
    }
  }
  if (switches & 2) {
    pre[0] = MAC(peephole[j], before, pre[0]);
    pre[2] = MAC(peephole[2 * H + j], before, pre[2]);
  }
  const float i = sigmoid_1(clip_1(pre[0], -clip, clip)), f = sigmoid_1(clip_1(pre[2], -clip, clip));
  const float c = f * before + i * tanh_1(clip_1(pre[3], -clip, clip));
  if (switches & 2) {
    pre[1] = MAC(peephole[H + j], c, pre[1]);
  }
  *c_out = c;
  return sigmoid_1(clip_1(pre[1], -clip, clip)) * tanh_1(c);
}

#endif
