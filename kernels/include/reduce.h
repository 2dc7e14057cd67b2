// One value per work-item of a row -> one value for all of them, through local memory.
#ifndef RX580LAB_REDUCE_H
#define RX580LAB_REDUCE_H

// Work-items that join a column of values each. Two short serial steps need three barriers; a tree needs one per level,
// and its levels cannot overlap the latency of local memory as independent reads do.
#define REDUCE_COLUMNS 16

// Defines `type name(value, lanes, lane, n_lanes)`, which joins the values of n_lanes work-items; DEFINE_REDUCE, of floats.
// lanes: n_lanes values in local memory for this row; lane: this work-item's place in it; n_lanes: a multiple of 16.
// It holds barriers, so every work-item of the group must come here, also those of rows that do not exist.
#define DEFINE_REDUCE(name, JOIN) DEFINE_REDUCE_OF(float, name, JOIN)
#define DEFINE_REDUCE_OF(type, name, JOIN)                                                                             \
  static inline type name(const type value, __local type *lanes, const uint lane, const uint n_lanes) {                \
    barrier(CLK_LOCAL_MEM_FENCE); /* the last reduction may still be being read */                                     \
    lanes[lane] = value;                                                                                               \
    barrier(CLK_LOCAL_MEM_FENCE); /* all values are there */                                                           \
    if (lane < REDUCE_COLUMNS) {                                                                                       \
      type column = value;                                                                                             \
      for (uint k = lane + REDUCE_COLUMNS; k < n_lanes; k += REDUCE_COLUMNS) {                                         \
        column = JOIN(column, lanes[k]);                                                                               \
      }                                                                                                                \
      lanes[lane] = column;                                                                                            \
    }                                                                                                                  \
    barrier(CLK_LOCAL_MEM_FENCE); /* all columns are there */                                                          \
    type all = lanes[0];                                                                                               \
    for (uint k = 1; k < REDUCE_COLUMNS; ++k) {                                                                        \
      all = JOIN(all, lanes[k]);                                                                                       \
    }                                                                                                                  \
    return all;                                                                                                        \
  }
#define ADD(a, b) ((a) + (b))

#endif
