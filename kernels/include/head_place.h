// Where the rows of a head begin, in attention: heads lie one after another, or side by side within longer rows.
#ifndef RX580LAB_HEAD_PLACE_H
#define RX580LAB_HEAD_PLACE_H

// The first row of group g of heads in batch b; `at` as in attention.cl.
#define PLACE_OF(at, b, g) ((at).x + (size_t)(b) * (at).y + (size_t)(g) * (at).z)

#endif
