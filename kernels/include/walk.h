// Strided copies of elements of any type: where each lies in the source and in the target.
//
// A walk has columns, the innermost axis, and rows, which are all other axes, at most eight. Lengths, strides and
// starts are arguments in elements, so that one program serves every shape; strides may be 0 (a repeat) or negative.
// The launcher drops axes of length 1, joins those that continue each other, and takes two elements as one of twice
// their bytes wherever every start, stride and row allows it (rx580lab/ops/walk.py).
#ifndef RX580LAB_WALK_H
#define RX580LAB_WALK_H

// Bytes of an element: 1, 2, 4, 8 or 16. Only its bits count, so float16, int16 and uint16 share a program.
#ifndef ITEM_BYTES
#define ITEM_BYTES 4
#endif

#if ITEM_BYTES == 1
typedef uchar element;
#elif ITEM_BYTES == 2
typedef ushort element;
#elif ITEM_BYTES == 4
typedef uint element;
#elif ITEM_BYTES == 8
typedef ulong element;
#else
typedef uint4 element;
#endif

// The arguments of every walk. n: lengths of the rows' axes, the innermost first, 1 where there is none; source,
// target: their strides; start, step: (source, target) of the first element, and from one column to the next.
#define WALK_ARGUMENTS                                                                                                 \
  const uint n_rows, const uint n_columns, const int2 start, const int2 step, const uint8 n, const int8 source,        \
      const int8 target

// (source, target) of a row's first element, from the walk's start. Each axis costs one division, and the rest is
// over as soon as nothing is left to divide.
#define WALK_AXIS(k)                                                                                                   \
  if (row != 0) {                                                                                                      \
    const uint rest = row / n.s##k;                                                                                    \
    const int i = (int)(row - rest * n.s##k);                                                                          \
    at += (int2)(i * source.s##k, i * target.s##k);                                                                    \
    row = rest;                                                                                                        \
  }
static inline __attribute__((always_inline)) int2 walk_to(uint row, const uint8 n, const int8 source,
                                                          const int8 target) {
  int2 at = (int2)(0, 0);
  WALK_AXIS(0)
  WALK_AXIS(1)
  WALK_AXIS(2)
  WALK_AXIS(3)
  WALK_AXIS(4)
  WALK_AXIS(5)
  WALK_AXIS(6)
  WALK_AXIS(7)
  return at;
}

// One element per work-item, neighbours in the target beside each other: any device.
static inline __attribute__((always_inline)) void walk_element(const __global element *x, __global element *out,
                                                               WALK_ARGUMENTS) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int column = (int)(i - row * n_columns);
  const int2 at = start + walk_to(row, n, source, target) + (int2)(column * step.x, column * step.y);
  out[at.y] = x[at.x];
}

#endif
