// The k largest elements of each row in order, and where they are: of equals the one with the lower index first.
//
// Shapes: x (R / inner, C, inner), out and indices (R / inner, k, inner), row-major: a row's elements lie `inner` apart;
// C below 2^31, 0 < k <= C. NaN counts as the largest value. flip: 0, or all ones for the k smallest. This is the plain
// file: one work-item per row selects one after the other, C*k steps; topk_gpu.cl and topk_cpu.cl take about C.

#include "order.h"

__kernel void topk_plain(const __global element *x, __global element *out, __global long *indices, const uint n_columns,
                         const uint k, const uint inner, const uint n_rows, const key_type flip) {
  const uint row = get_global_id(0);
  if (row >= n_rows) {
    return;
  }
  const uint outer = row / inner, i = row - outer * inner;
  x += (size_t)outer * n_columns * inner + i;
  out += (size_t)outer * k * inner + i;
  indices += (size_t)outer * k * inner + i;
  key_type before = 0;
  uint where = 0;
  for (uint j = 0; j < k; ++j, out += inner, indices += inner) {
    // The best of those behind the last one in order: with a smaller key, or with the same and a higher index.
    key_type best = 0;
    uint at = n_columns;
    const __global element *p = x;
    for (uint c = 0; c < n_columns; ++c, p += inner) {
      const key_type key = key_of(*p, flip);
      const bool is_behind = j == 0 || key < before || (key == before && c > where);
      if (is_behind && (at == n_columns || key > best)) {
        best = key;
        at = c;
      }
    }
    *out = x[(size_t)at * inner];
    *indices = at;
    before = best;
    where = at;
  }
}
