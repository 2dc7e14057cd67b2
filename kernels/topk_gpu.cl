// topk for wavefronts: a work-group takes a row, k <= MOST.
//
// Shapes and order as in topk.cl. The keys' digits, then those of the columns, are counted from the highest on until it
// is known which elements are the best k (radix select): one read of the row per digit of 8 bits, mostly from cache,
// and seldom more than four. These k meet in LDS, where each counts how many precede it: k*k / 256 steps.

#include "order.h"

// Work-items per group, and values of a digit; fixed: each item owns one count.
#define WG_X 256
#define DIGIT 8
// The largest k; unit: elements, of 8 or 12 bytes of LDS each. Counting takes 4 * 1024 steps then, as many as a
// quarter of a row of a million.
#ifndef MOST
#define MOST 1024
#endif
// Copies of the counts; unit: copies, a power of two. Neighbouring keys share their first digit, and work-items that
// count the same digit wait for each other. Two with 64-bit keys leave LDS below 16 KiB.
#ifndef COPIES
#define COPIES (KEY_BITS == 64 ? 2 : 4)
#endif

#if KEY_BITS == 64
#define KEY_SHIFT(shift) ((ulong)(shift))
#else
#define KEY_SHIFT(shift) ((uint)(shift))
#endif

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
topk_gpu(const __global element *x, __global element *out, __global long *indices, const uint n_columns, const uint k,
         const uint inner, const uint n_rows, const key_type flip) {
  __local key_type keys[MOST];
  __local uint columns[MOST];
  __local uint counts[COPIES * WG_X];
  __local uint sums[WG_X];
  __local uint found[3]; // the digit, how many of the row have it, how many of those belong to the best k
  const uint lane = get_local_id(0);
  const uint row = get_group_id(0);
  const uint outer = row / inner, i = row - outer * inner;
  x += (size_t)outer * n_columns * inner + i;
  out += (size_t)outer * k * inner + i;
  indices += (size_t)outer * k * inner + i;
  // Of the k-th element, so far: its key's upper digits, and those of its distance from the row's end.
  key_type key = 0, key_mask = 0;
  uint rank = 0, rank_mask = 0, wanted = k;
  const size_t step = (size_t)WG_X * inner;
  // After the key's digits those of the rank, from the first on that is not 0 in all.
  const int first_of_rank = (31 - (int)clz(max(n_columns - 1, 1u))) / DIGIT * DIGIT;
  bool is_known = false;
#pragma unroll 1
  for (int shift = KEY_BITS + 32 - DIGIT; shift >= 0 && !is_known;
       shift = shift == 32 ? first_of_rank : shift - DIGIT) {
    barrier(CLK_LOCAL_MEM_FENCE); // everyone has read the last turn's counts
    for (uint copy = 0; copy < COPIES; ++copy) {
      counts[copy * WG_X + lane] = 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const __global element *p = x + (size_t)lane * inner;
    for (uint c = lane; c < n_columns; c += WG_X, p += step) {
      const key_type of_c = key_of(*p, flip);
      const uint rank_of_c = n_columns - 1 - c;
      if ((of_c & key_mask) == key && (rank_of_c & rank_mask) == rank) {
        const uint digit = shift >= 32 ? (uint)(of_c >> KEY_SHIFT(shift - 32)) : rank_of_c >> (uint)shift;
        atomic_inc(&counts[(lane & (COPIES - 1)) * WG_X + (digit & (WG_X - 1))]);
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint own = 0;
    for (uint copy = 0; copy < COPIES; ++copy) {
      own += counts[copy * WG_X + lane];
    }
    sums[lane] = own;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint above = 0;
    for (uint digit = lane + 1; digit < WG_X; ++digit) {
      above += sums[digit];
    }
    if (above < wanted && above + own >= wanted) {
      found[0] = lane;
      found[1] = own;
      found[2] = wanted - above;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (shift >= 32) {
      key |= (key_type)found[0] << KEY_SHIFT(shift - 32);
      key_mask |= (key_type)(WG_X - 1) << KEY_SHIFT(shift - 32);
    } else {
      rank |= found[0] << (uint)shift;
      rank_mask |= (uint)(WG_X - 1) << (uint)shift;
    }
    wanted = found[2];
    is_known = found[1] == wanted;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (lane == 0) {
    found[0] = 0;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const __global element *p = x + (size_t)lane * inner;
  for (uint c = lane; c < n_columns; c += WG_X, p += step) {
    const key_type of_c = key_of(*p, flip);
    const key_type upper = of_c & key_mask;
    if (upper > key || (upper == key && ((n_columns - 1 - c) & rank_mask) >= rank)) {
      const uint j = atomic_inc(&found[0]);
      keys[j] = of_c;
      columns[j] = c;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint j = lane; j < k; j += WG_X) {
    const key_type own = keys[j];
    const uint column = columns[j];
    size_t place = 0;
    for (uint other = 0; other < k; ++other) {
      place += keys[other] > own || (keys[other] == own && columns[other] < column);
    }
    out[place * inner] = x[(size_t)column * inner];
    indices[place * inner] = column;
  }
}
