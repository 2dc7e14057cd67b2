// One step of an LSTM over products of the inputs that are there already, one work-item per hidden unit.
//
// Shapes and types in include/lstm.h. NDRange: (H, B, D). h_in and h_out are apart; c_in may be c_out. A sequence that has
// ended keeps its state, and its y is 0. Reads r once a step and sequence: 4*H*H weights a direction.

#include "lstm.h"

__kernel void lstm_plain(LSTM_ARGUMENTS) {
  const uint j = get_global_id(0), b = get_global_id(1), d = get_global_id(2);
  if (j >= H) {
    return;
  }
  const size_t row = (size_t)d * B + b, unit = row * H + j;
  const uint length = switches & 4 ? (uint)lengths[b] : T;
  if (step >= length) {
    h_out[unit] = h_in[unit];
    c_out[unit] = c_in[unit];
    y[((size_t)step * D * B + row) * H + j] = 0.0f;
    return;
  }
  const uint t = backwards >> d & 1 ? length - 1 - step : step;
  const __global float *state = h_in + row * H;
  const __global weight *from = r + (size_t)d * H * 4 * H + j;
  sum_type sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#if BYTES
  const __global float *all = h_in + (size_t)d * B * H;
  float low = 0.0f, high = 0.0f;
  for (uint k = 0; k < B * H; ++k) {
    const float v = all[k];
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  const float scale = lstm_scale(low, high);
  const int middle = lstm_zero(low, scale);
  const uint at = d * n_scales, apart = n_scales > 1 ? H : 0, own = n_scales > 1 ? j : 0;
  const int zero0 = QUANTIZE_VALUE(r_zero[at + own], flip);
  const int zero1 = QUANTIZE_VALUE(r_zero[at + apart + own], flip);
  const int zero2 = QUANTIZE_VALUE(r_zero[at + 2 * apart + own], flip);
  const int zero3 = QUANTIZE_VALUE(r_zero[at + 3 * apart + own], flip);
  for (uint k = 0; k < H; ++k, from += 4 * H) {
    const int v = (int)quantized(state[k], scale, middle, 0) - middle;
    sum0 = mad24(v, QUANTIZE_VALUE(from[0], flip) - zero0, sum0);
    sum1 = mad24(v, QUANTIZE_VALUE(from[H], flip) - zero1, sum1);
    sum2 = mad24(v, QUANTIZE_VALUE(from[2 * H], flip) - zero2, sum2);
    sum3 = mad24(v, QUANTIZE_VALUE(from[3 * H], flip) - zero3, sum3);
  }
  const float4 sums = (float4)((float)sum0 * (scale * r_scale[at + own]),
                               (float)sum1 * (scale * r_scale[at + apart + own]),
                               (float)sum2 * (scale * r_scale[at + 2 * apart + own]),
                               (float)sum3 * (scale * r_scale[at + 3 * apart + own]));
#else
  for (uint k = 0; k < H; ++k, from += 4 * H) {
    const float v = state[k];
    sum0 = MAC(v, from[0], sum0);
    sum1 = MAC(v, from[H], sum1);
    sum2 = MAC(v, from[2 * H], sum2);
    sum3 = MAC(v, from[3 * H], sum3);
  }
  const float4 sums = (float4)(sum0, sum1, sum2, sum3);
#endif
  const __global float *own_gates = gates + (((size_t)d * T + t) * B + b) * 4 * H;
  const float h = lstm_cell(sums, own_gates, bias + (size_t)d * 8 * H, peephole + (size_t)d * 3 * H, H, j, switches,
                            clip, c_in[unit], c_out + unit);
  h_out[unit] = h;
  y[((size_t)t * D * B + row) * H + j] = h;
}
