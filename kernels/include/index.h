// Indices of int32 or int64 along an axis: negative ones count from its end, and those beyond it are nowhere.
//
// On a device nobody can refuse an index, so each kernel says what nowhere gives; nothing is read or written there.
#ifndef RX580LAB_INDEX_H
#define RX580LAB_INDEX_H

// Bytes of an index: 4 or 8.
#ifndef INDEX_BYTES
#define INDEX_BYTES 8
#endif

#if INDEX_BYTES == 8
typedef long index;
#else
typedef int index;
#endif

// The place that i names in an axis of length n; -1 for nowhere.
static inline int place_of(const index i, const int n) {
  const index there = i < 0 ? i + n : i;
  return there >= 0 && there < n ? (int)there : -1;
}

// The row that `depth` indices at p name, one for each of the first axes of lengths n, below `row` of the axes before;
// -1 for nowhere.
#define INDEX_AXIS(k)                                                                                                  \
  if (k < depth) {                                                                                                     \
    const int place = place_of(p[k], n.s##k);                                                                          \
    inside = inside && place >= 0;                                                                                     \
    row = row * n.s##k + place;                                                                                        \
  }
static inline __attribute__((always_inline)) int row_of(const __global index *p, const uint depth, const int8 n,
                                                        int row) {
  int inside = 1;
  INDEX_AXIS(0)
  INDEX_AXIS(1)
  INDEX_AXIS(2)
  INDEX_AXIS(3)
  INDEX_AXIS(4)
  INDEX_AXIS(5)
  INDEX_AXIS(6)
  INDEX_AXIS(7)
  return inside ? row : -1;
}

#endif
