// From fp32 to bytes and back, and where an element's scale and zero point lie.
//
// q = saturate(round(x / scale) + zero_point), ties to even, and x = (q - zero_point) * scale, as ONNX QuantizeLinear and
// DequantizeLinear have it. Bytes are int8 (flip 128) or uint8 (flip 0). NaN becomes the least byte.
#ifndef RX580LAB_QUANTIZE_H
#define RX580LAB_QUANTIZE_H

// 1.5 * 2^23: adding it to |v| < 2^22 rounds v to the nearest integer, ties to even.
#define QUANTIZE_ROUND 12582912.0f

// The value of a byte: `flip` turns int8 into the byte that is 128 larger.
#define QUANTIZE_VALUE(byte, flip) ((int)((byte) ^ (flip)) - (flip))

static inline __attribute__((always_inline)) uchar quantized(const float x, const float scale, const int zero_point,
                                                             const int flip) {
  // Limits first: they are integers, so rounding cannot pass them, and what is rounded is then small.
  const float v = x / scale;
  const float low = (float)(-flip - zero_point), high = (float)(255 - flip - zero_point);
  const float inside = v >= low ? (v > high ? high : v) : low;
  const float rounded = (inside + QUANTIZE_ROUND) - QUANTIZE_ROUND;
  return (uchar)((int)rounded + zero_point);
}

// Elements are (O, C, I); of C, `block` neighbours share a parameter. Steps of 0 make one value serve all.
static inline __attribute__((always_inline)) uint quantize_place(const uint i, const uint inner, const uint length,
                                                                 const uint block, const uint outer_step,
                                                                 const uint step, const uint inner_step) {
  if (!step) {
    return 0;
  }
  const uint rows = i / inner, o = rows / length;
  const uint c = rows - o * length;
  return o * outer_step + c / block * step + (i - rows * inner) * inner_step;
}

#endif
