// Where operands that broadcast lie: the output's axes, innermost first, and each operand's stride along them.
//
// The launcher drops axes of length 1 and joins neighbours along which every operand moves alike, so few axes are left.
// Five are kernel arguments; what is left beyond them gets a launch of its own for each index, with other base offsets.
// Along axis 0 every operand moves by a0, b0, c0 elements, each 0 (it repeats) or 1. Unit of all: elements.
#ifndef RX580LAB_BROADCAST_H
#define RX580LAB_BROADCAST_H

#define BROADCAST_AXIS(k) const uint n##k, const uint a##k, const uint b##k, const uint c##k
#define BROADCAST_ARGUMENTS                                                                                            \
  BROADCAST_AXIS(0), BROADCAST_AXIS(1), BROADCAST_AXIS(2), BROADCAST_AXIS(3), BROADCAST_AXIS(4), const uint a_base,    \
      const uint b_base, const uint c_base, const uint out_base

// Takes the index along axis k out of `rest` and moves the operands' offsets there.
#define BROADCAST_STEP(k)                                                                                              \
  if (n##k > 1) {                                                                                                      \
    const uint whole = rest / n##k;                                                                                    \
    const uint r = rest - whole * n##k;                                                                                \
    at_a += r * a##k;                                                                                                  \
    at_b += r * b##k;                                                                                                  \
    at_c += r * c##k;                                                                                                  \
    rest = whole;                                                                                                      \
  }

// Declares at_a, at_b, at_c: where element i of the output has its operands. Without a division where one axis is left.
#define BROADCAST_OFFSETS(i, n)                                                                                        \
  uint at_a = a_base, at_b = b_base, at_c = c_base;                                                                    \
  if (n0 == n) {                                                                                                       \
    at_a += a0 ? i : 0;                                                                                                \
    at_b += b0 ? i : 0;                                                                                                \
    at_c += c0 ? i : 0;                                                                                                \
  } else {                                                                                                             \
    uint rest = i;                                                                                                     \
    BROADCAST_STEP(0)                                                                                                  \
    BROADCAST_STEP(1)                                                                                                  \
    BROADCAST_STEP(2)                                                                                                  \
    BROADCAST_STEP(3)                                                                                                  \
    BROADCAST_STEP(4)                                                                                                  \
  }

#endif
