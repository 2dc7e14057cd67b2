// topk for processors: work-groups of one, which take rows_per_item rows.
//
// Shapes and order as in topk.cl. The best k so far are a heap in out and indices themselves, the worst at its root; a
// row passes by in blocks of vectors, of which all but a few hold nothing better. Then the heap is sorted in place. At
// most C * log k steps, C / 16 where few elements enter the heap. sense: 1 for the largest, -1 for the smallest.

#include "order.h"
#define HALF (TYPE == 1)
#include "storage.h"

// Elements that pass by at once; fixed: four vectors of 16, so that one test serves 64.
#define BLOCK 64

#if TYPE <= 1
typedef float16 values;
typedef float value;
#define GET16(p) READ16((const __global stored *)(p))
#if HALF
#define GET(p) READ(p)
#else
#define GET(p) as_float(*(p))
#endif
#define TURNED(v, sense) ((v) * (float)(sense))
// Also NaN, which may be better.
#define BETTER(v, root) (!((v) <= (root)))
typedef int16 masks;
#elif TYPE == 2
typedef int16 values;
typedef int value;
typedef int16 masks;
typedef values values_u __attribute__((aligned(4)));
#define GET16(p) (*(const __global values_u *)(p))
#define GET(p) as_int(*(p))
#define TURNED(v, sense) ((sense) > 0 ? (v) : ~(v))
#define BETTER(v, root) ((v) > (root))
#else
typedef long16 values;
typedef long value;
typedef long16 masks;
typedef values values_u __attribute__((aligned(8)));
#define GET16(p) (*(const __global values_u *)(p))
#define GET(p) as_long(*(p))
#define TURNED(v, sense) ((sense) > 0 ? (v) : ~(v))
#define BETTER(v, root) ((v) > (root))
#endif

// Whether a block may hold something better than the root; false alarms of NaN are sorted out one by one.
static inline int may_hold_better(const __global element *x, const value root, const int sense) {
#if defined(__AVX__) // one bit per lane; in OpenCL C each lane would have to be looked at
  const values limit = (values)(root);
  const values a = TURNED(GET16(x), sense), b = TURNED(GET16(x + 16), sense);
  const values c = TURNED(GET16(x + 32), sense), d = TURNED(GET16(x + 48), sense);
  const masks all = BETTER(a, limit) | BETTER(b, limit) | BETTER(c, limit) | BETTER(d, limit);
#if TYPE == 3
  const long8 half_of_all = all.lo | all.hi;
  return __builtin_ia32_movmskps256(as_float8(half_of_all.lo | half_of_all.hi)) != 0;
#else
  return __builtin_ia32_movmskps256(as_float8(all.lo | all.hi)) != 0;
#endif
#else
  int i = 0;
  while (i < BLOCK && !BETTER(TURNED(GET(x + i), sense), root)) {
    ++i;
  }
  return i < BLOCK;
#endif
}

// Lets the entry (bits, index) sink from `at` of a heap of n entries, `inner` apart, to where no worse one is below.
static inline void sink(__global element *heap, __global long *indices, size_t at, const size_t n, const size_t inner,
                        const element bits, const long index, const key_type flip) {
  const key_type key = key_of(bits, flip);
  for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
    key_type least = key_of(heap[child * inner], flip);
    long place = indices[child * inner];
    if (child + 1 < n) {
      const key_type other = key_of(heap[(child + 1) * inner], flip);
      const long there = indices[(child + 1) * inner];
      if (other < least || (other == least && there > place)) {
        least = other;
        place = there;
        ++child;
      }
    }
    if (key < least || (key == least && index > place)) {
      break;
    }
    heap[at * inner] = heap[child * inner];
    indices[at * inner] = place;
    at = child;
  }
  heap[at * inner] = bits;
  indices[at * inner] = index;
}

static inline void offer(const __global element *x, const size_t column, __global element *heap, __global long *indices,
                         const size_t k, const size_t inner, const key_type flip) {
  const element bits = x[column * inner];
  if (key_of(bits, flip) > key_of(heap[0], flip)) { // an equal one with a higher index is worse
    sink(heap, indices, 0, k, inner, bits, column, flip);
  }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
topk_cpu(const __global element *x, __global element *out, __global long *indices, const uint n_columns, const uint k,
         const uint inner, const uint n_rows, const key_type flip, const int sense, const uint rows_per_item) {
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  for (uint row = first; row < end; ++row) {
    const uint outer = row / inner, i = row - outer * inner;
    const __global element *from = x + ((size_t)outer * n_columns * inner + i);
    const size_t to = (size_t)outer * k * inner + i;
    __global element *heap = out + to;
    __global long *places = indices + to;
    for (size_t j = 0; j < k; ++j) {
      heap[j * inner] = from[j * inner];
      places[j * inner] = j;
    }
    for (size_t j = k / 2; j-- > 0;) {
      sink(heap, places, j, k, inner, heap[j * inner], places[j * inner], flip);
    }
    uint c = k;
    for (; inner == 1 && c + BLOCK <= n_columns; c += BLOCK) {
      if (may_hold_better(from + c, TURNED(GET(heap), sense), sense)) {
        for (uint j = c; j < c + BLOCK; ++j) {
          offer(from, j, heap, places, k, 1, flip);
        }
      }
    }
    for (; c < n_columns; ++c) {
      offer(from, c, heap, places, k, inner, flip);
    }
    for (size_t n = k; n-- > 1;) { // the worst of n + 1 goes to their end
      const size_t last = n * inner;
      const element bits = heap[last];
      const long index = places[last];
      heap[last] = heap[0];
      places[last] = places[0];
      sink(heap, places, 0, n, inner, bits, index, flip);
    }
  }
}
