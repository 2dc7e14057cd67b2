// out[t, :] = table[ids[t], :] as fp32; 0 where an id names no row.
//
// Shapes: ids (T), table (V,D) of fp32 or fp16 (HALF), out (T,D) of fp32; fp16 widens exactly. Traffic: 1 read of T
// rows of the table + 1 write of out, 1 read of the ids. Two templates, one result: embedding_plain moves a value per
// work-item; embedding_cpu, in work-groups of one, rows by vectors.

#include "index.h"
#include "storage.h"

// The row of an id, counted from 0 only; -1 for none.
static inline int row_of_id(const index id, const uint n_ids) { return id < 0 ? -1 : place_of(id, (int)n_ids); }

__kernel void embedding_plain(const __global index *ids, const __global stored *table, __global float *out,
                              const uint n_rows, const uint n_columns, const uint n_ids) {
  const uint i = get_global_id(0);
  const uint row = i / n_columns;
  if (row >= n_rows) {
    return;
  }
  const int id = row_of_id(ids[row], n_ids);
  float found = 0.0f;
  if (id >= 0) {
    found = READ(table + (uint)id * n_columns + (i - row * n_columns));
  }
  out[i] = found;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
embedding_cpu(const __global index *ids, const __global stored *table, __global float *out, const uint n_rows,
              const uint n_columns, const uint n_ids, const uint rows_per_item, const uint width) {
  const uint column = get_group_id(0) * width;
  const uint columns = min(width, n_columns - column);
  const uint first = get_group_id(1) * rows_per_item;
  for (uint row = first; row < min(first + rows_per_item, n_rows); ++row) {
    const int id = row_of_id(ids[row], n_ids);
    __global float *to = out + (size_t)row * n_columns + column;
    if (id < 0) {
      for (uint k = 0; k < columns; ++k) {
        to[k] = 0.0f;
      }
      continue;
    }
    const __global stored *from = table + (size_t)id * n_columns + column;
    uint k = 0;
    for (; k + 16 <= columns; k += 16) {
      STORE16(READ16(from + k), to + k);
    }
    for (; k < columns; ++k) {
      to[k] = READ(from + k);
    }
  }
}
