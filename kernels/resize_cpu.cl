// resize for processors with vector registers and caches: work-groups of one, which take rows_per_item rows of out.
//
// Shapes, tables and special values as in resize.cl. A row of x is resampled along itself once, element by element, and
// kept while the rows of out around it need it; the sum over rows is then by vectors. keeps_x: whether the last axis
// stays as it is, so that rows need no resampling.

#include "mac.h"
#include "rows.h"
#include "storage.h"

// Columns of out that are done at a time; unit: floats, a multiple of 16. 16 kept rows of 256 are half of L1.
#ifndef COLUMNS
#define COLUMNS 256
#endif
// Kept rows; fixed: four by their tap along D, four by their place along H.
#define KEPT 16
#define VEC 16

#define ROW_AT(p) (*(const float16_u *)(p))
#define KEEP(v, p) (*(float16_u *)(p) = (v))

#define WEIGH(t) weight[t] * READ(x + index[t])

// row[o] = the sum over taps of weight * x[index], for 0 <= o < n.
static inline void resample(const __global stored *x, float *row, const __global int *index,
                            const __global float *weight, const int taps, const int n) {
  if (taps == 2) {
    for (int o = 0; o < n; ++o, index += 2, weight += 2) {
      row[o] = MAC(weight[1], READ(x + index[1]), WEIGH(0));
    }
  } else if (taps == 4) {
    for (int o = 0; o < n; ++o, index += 4, weight += 4) {
      const float left = MAC(weight[1], READ(x + index[1]), WEIGH(0));
      row[o] = left + MAC(weight[3], READ(x + index[3]), WEIGH(2));
    }
  } else {
    for (int o = 0; o < n; ++o, index += taps, weight += taps) {
      float sum = 0.0f;
      for (int t = 0; t < taps; ++t) {
        sum = MAC(weight[t], READ(x + index[t]), sum);
      }
      row[o] = sum;
    }
  }
}

// Zeros in what is left of a row's last vector: it is added up with the rest, and nobody stores it.
static inline void fill_vector(float *row, int n) {
  for (; n % VEC != 0; ++n) {
    row[n] = 0.0f;
  }
}

static inline void read_row(const __global stored *x, float *row, const int n) {
  int o = 0;
  for (; o + VEC <= n; o += VEC) {
    KEEP(READ16(x + o), row + o);
  }
  for (; o < n; ++o) {
    row[o] = READ(x + o);
  }
}

// sum = or += row * by, by whole vectors.
static inline void add_row(float *sum, const float *row, const float by, const int n, const int is_first) {
  if (is_first) {
    for (int o = 0; o < n; o += VEC) {
      KEEP(ROW_AT(row + o) * by, sum + o);
    }
  } else {
    for (int o = 0; o < n; o += VEC) {
      KEEP(MAC(ROW_AT(row + o), (float16)(by), ROW_AT(sum + o)), sum + o);
    }
  }
}

static inline void write_row(const float *sum, __global stored *out, const int n) {
  int o = 0;
  for (; o + VEC <= n; o += VEC) {
    WRITE16(ROW_AT(sum + o), out + o);
  }
  for (; o < n; ++o) {
    WRITE(sum[o], out + o);
  }
}

// Starts of each axis' part of the tables.
#define TABLES                                                                                                         \
  const int from_y = to.z * taps.z, from_x = from_y + to.y * taps.y, inside = from_x + to.x * taps.x;                  \
  const __global int *inside_z = index + inside, *inside_y = inside_z + to.z, *inside_x = inside_y + to.y;

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
resize_cpu(const __global stored *x, __global stored *out, const __global int *index, const __global float *weight,
           const int4 in, const int4 to, const int4 taps, const int cropped, const float outside, const int keeps_x,
           const uint n_rows, const uint rows_per_item) {
  float kept[KEPT * COLUMNS];
  float sum[COLUMNS];
  size_t tags[KEPT]; // which row of x each kept row comes from, in elements from x
  TABLES
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  for (int column = 0; column < to.x; column += COLUMNS) {
    const int n = min(COLUMNS, to.x - column);
    for (int k = 0; k < KEPT; ++k) {
      tags[k] = (size_t)-1;
    }
    for (uint r = first; r < end; ++r) {
      const uint layer = r / (uint)to.y, plane = layer / (uint)to.z;
      const int place_y = r - layer * to.y, place_z = layer - plane * to.z;
      __global stored *to_row = out + ((size_t)r * to.x + column);
      const int is_inside = !cropped || (inside_z[place_z] && inside_y[place_y]);
      for (int z = 0; z < (is_inside ? taps.z : 0); ++z) {
        for (int y = 0; y < taps.y; ++y) {
          const int at_z = place_z * taps.z + z, at_y = from_y + place_y * taps.y + y;
          const size_t from = (size_t)plane * in.x * in.y * in.z + (index[at_z] + index[at_y]);
          const int slot = (z & 3) * 4 + ((index[at_y] / in.x) & 3);
          float *row = kept + slot * COLUMNS;
          if (tags[slot] != from) {
            tags[slot] = from;
            if (keeps_x) {
              read_row(x + (from + column), row, n);
            } else {
              const int at = from_x + column * taps.x;
              resample(x + from, row, index + at, weight + at, taps.x, n);
            }
            fill_vector(row, n);
          }
          add_row(sum, row, weight[at_z] * weight[at_y], n, z == 0 && y == 0);
        }
      }
      if (is_inside) {
        write_row(sum, to_row, n);
      }
      for (int o = 0; cropped && o < n; ++o) {
        if (!is_inside || !inside_x[column + o]) {
          WRITE(outside, to_row + o);
        }
      }
    }
  }
}

// A row of out that comes from the same row of x as the one before is a copy of that, without gathering.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
resize_cpu_nearest(const __global element *x, __global element *out, const __global int *index, const int4 in,
                   const int4 to, const int4 taps, const int cropped, const element outside, const int keeps_x,
                   const uint n_rows, const uint rows_per_item) {
  TABLES
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  size_t before = (size_t)-1;
  for (uint r = first; r < end; ++r) {
    const uint layer = r / (uint)to.y, plane = layer / (uint)to.z;
    const int place_y = r - layer * to.y, place_z = layer - plane * to.z;
    __global element *to_row = out + (size_t)r * to.x;
    if (cropped && !(inside_z[place_z] && inside_y[place_y])) {
      fill_row(to_row, to.x, outside);
      before = (size_t)-1;
      continue;
    }
    const size_t from = (size_t)plane * in.x * in.y * in.z + (index[place_z] + index[from_y + place_y]);
    if (from == before) {
      copy_row(to_row - to.x, to_row, to.x, 0);
    } else if (keeps_x) {
      copy_row(x + from, to_row, to.x, 0);
    } else {
      for (int o = 0; o < to.x; ++o) {
        to_row[o] = cropped && !inside_x[o] ? outside : x[from + index[from_x + o]];
      }
    }
    before = from;
  }
}
