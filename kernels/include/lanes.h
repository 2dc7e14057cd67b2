// One value from all lanes of a vector.
//
// In chains of four that begin with a constant: where two lanes meet directly, as in a tree or in halves, clang makes
// shuffles with undefined lanes, and Oclgrind's uninitialized check crashes on those.
#ifndef RX580LAB_LANES_H
#define RX580LAB_LANES_H

// JOIN: a function or macro of two floats; none: its neutral value; v: a vector of 8 or 16 floats.
#define JOIN_4(JOIN, none, a, b, c, d) JOIN(JOIN(JOIN(JOIN(none, a), b), c), d)
#define JOIN_8(JOIN, none, v)                                                                                          \
  JOIN(JOIN_4(JOIN, none, (v).s0, (v).s1, (v).s2, (v).s3), JOIN_4(JOIN, none, (v).s4, (v).s5, (v).s6, (v).s7))
#define JOIN_16(JOIN, none, v)                                                                                         \
  JOIN(JOIN_8(JOIN, none, v), JOIN(JOIN_4(JOIN, none, (v).s8, (v).s9, (v).sa, (v).sb),                                 \
                                   JOIN_4(JOIN, none, (v).sc, (v).sd, (v).se, (v).sf)))

// DO for each lane's place, as a hexadecimal digit.
#define LANES_8(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define LANES_16(DO) LANES_8(DO) DO(8) DO(9) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f)

static inline float lanes_added(const float a, const float b) { return a + b; }
// As maxps: b when either is NaN, so a NaN in a is dropped.
static inline float lanes_larger(const float a, const float b) { return a > b ? a : b; }

// The sum of all lanes.
#define SUM_8(v) JOIN_8(lanes_added, 0.0f, v)
#define SUM_16(v) JOIN_16(lanes_added, 0.0f, v)

#endif
