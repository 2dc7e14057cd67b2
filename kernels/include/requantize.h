// From exact int32 sums of int8 products to what an op gives: the sums, their scaled values, or int8 again.
//
// Define OUTPUT before including this. Rounding is to the nearest, ties to even, of fp32's product sum * scale: the
// same bits on every device, since no addition follows that could be contracted with it.
#ifndef RX580LAB_REQUANTIZE_H
#define RX580LAB_REQUANTIZE_H

// What leaves the kernel; unit: a choice. 0: int32 sums, 1: fp32, sum * scale, 2: bytes,
// saturate(round(sum * scale) + zero_point) from `lowest` to lowest + 255: -128 for int8, 0 for uint8.
#ifndef OUTPUT
#define OUTPUT 0
#endif

#if OUTPUT == 0
typedef int result;
#elif OUTPUT == 1
typedef float result;
#else
typedef uchar result;
#endif

// 1.5 * 2^23: adding it to |v| < 2^22 rounds v to the nearest integer, ties to even.
#define REQUANTIZE_ROUND 12582912.0f

static inline __attribute__((always_inline)) result requantize(const int sum, const float scale, const int zero_point,
                                                               const int lowest) {
#if OUTPUT == 0
  return sum;
#elif OUTPUT == 1
  return (float)sum * scale;
#else
  // Limits first: they are integers, so rounding cannot pass them, and what is rounded is then small.
  const float v = (float)sum * scale;
  const float low = (float)(lowest - zero_point), high = (float)(lowest + 255 - zero_point);
  const float inside = v < low ? low : v > high ? high : v;
  const float rounded = (inside + REQUANTIZE_ROUND) - REQUANTIZE_ROUND;
  return (result)((int)rounded + zero_point);
#endif
}

// A byte less its zero point, from -255 to 255; `flip` is 128 for int8 and 0 for uint8, so both are one program.
#define BYTE_OF(byte, flip) ((int)((byte) ^ (flip)))
#define BYTE_LESS(byte, zero, flip) (BYTE_OF(byte, flip) - BYTE_OF(zero, flip))

#endif
