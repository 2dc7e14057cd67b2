// Elements as unsigned keys that order as their values do: for sorting and selecting.
//
// NaN of either sign is the largest value, as numpy sorts it; -0 equals 0. `flip` 0 leaves the larger value the larger
// key, all ones turn the order round, NaN too.
#ifndef RX580LAB_ORDER_H
#define RX580LAB_ORDER_H

// Elements: 0 fp32, 1 fp16, 2 i32, 3 i64. They are handled by their bits.
#ifndef TYPE
#define TYPE 0
#endif

#if TYPE == 0
typedef uint element;
typedef uint key_type;
#define KEY_BITS 32
#define SIGN 0x80000000u
#define INFINITE 0x7f800000u
#elif TYPE == 1
typedef ushort element;
typedef uint key_type;
#define KEY_BITS 16
#define SIGN 0x8000u
#define INFINITE 0x7c00u
#elif TYPE == 2
typedef uint element;
typedef uint key_type;
#define KEY_BITS 32
#define SIGN 0x80000000u
#else
typedef ulong element;
typedef ulong key_type;
#define KEY_BITS 64
#define SIGN 0x8000000000000000ul
#endif

#define KEY_MOST ((key_type)(2 * (SIGN - 1) + 1))

static inline __attribute__((always_inline)) key_type key_of(const element bits, const key_type flip) {
  key_type key = bits;
#if TYPE <= 1
  const key_type size = key & (SIGN - 1);
  key = key & SIGN && size != 0 ? KEY_MOST - key : size + SIGN;
  key = size > INFINITE ? KEY_MOST : key;
#else
  key ^= SIGN;
#endif
  return (key ^ flip) & KEY_MOST;
}

#endif
