// Values that are fp32 in registers, and fp32 or fp16 in memory: READ and WRITE hide which.
//
// Define HALF as 0 (fp32) or 1 (fp16) before including this. A __global pointer to `stored` needs the alignment of one
// element only. READ widens exactly; WRITE rounds to the nearest, ties to even, beyond 65519.99 to infinity.
//
// vload_half stays a function call for each element on PoCL (LLVM 14), so x86's own conversion is used where the
// compiler has it. Elsewhere vload_half and vstore_half_rte, which are core OpenCL and one v_cvt on gfx803.
#ifndef RX580LAB_STORAGE_H
#define RX580LAB_STORAGE_H

#include "vec.h"

// Bytes of an element in memory; unit: 1 for fp16, 0 for fp32.
#ifndef HALF
#define HALF 0
#endif

#if !HALF

typedef float stored;

#define READ(p) (*(p))
#define READ2(p) LOAD2(p)
#define READ4(p) LOAD4(p)
#define READ8(p) LOAD8(p)
#define READ16(p) LOAD16(p)
#define WRITE(v, p) (*(p) = (v))
#define WRITE2(v, p) STORE2(v, p)
#define WRITE4(v, p) STORE4(v, p)
#define WRITE8(v, p) STORE8(v, p)
#define WRITE16(v, p) STORE16(v, p)

#else

typedef ushort stored;

#if defined(__F16C__)

typedef ushort4 ushort4_u __attribute__((aligned(2)));
typedef ushort8 ushort8_u __attribute__((aligned(2)));

// The instructions take 8 elements, or 4 of a register of 8.
static inline __attribute__((always_inline)) float8 storage_widen8(const ushort8 bits) {
  return __builtin_ia32_vcvtph2ps256(as_short8(bits));
}
static inline __attribute__((always_inline)) ushort8 storage_narrow8(const float8 v) {
  return as_ushort8(__builtin_ia32_vcvtps2ph256(v, 0)); // 0: to the nearest, ties to even
}
static inline __attribute__((always_inline)) float4 storage_widen4(const ushort4 bits) {
  return __builtin_ia32_vcvtph2ps(as_short8((ushort8)(bits, bits)));
}
static inline __attribute__((always_inline)) ushort4 storage_narrow4(const float4 v) {
  return as_ushort8(__builtin_ia32_vcvtps2ph(v, 0)).lo;
}

static inline __attribute__((always_inline)) float16 storage_read16(const __global ushort *p) {
  return (float16)(storage_widen8(*(const __global ushort8_u *)p), storage_widen8(*(const __global ushort8_u *)(p + 8)));
}
static inline __attribute__((always_inline)) void storage_write16(const float16 v, __global ushort *p) {
  *(__global ushort8_u *)p = storage_narrow8(v.lo);
  *(__global ushort8_u *)(p + 8) = storage_narrow8(v.hi);
}

#define READ(p) storage_widen4((ushort4)(*(p))).x
#define READ2(p) storage_widen4((ushort4)((p)[0], (p)[1], 0, 0)).lo
#define READ4(p) storage_widen4(*(const __global ushort4_u *)(p))
#define READ8(p) storage_widen8(*(const __global ushort8_u *)(p))
#define READ16(p) storage_read16(p)
#define WRITE(v, p) (*(p) = storage_narrow4((float4)(v)).x)
#define WRITE2(v, p) storage_write2(v, p)
#define WRITE4(v, p) (*(__global ushort4_u *)(p) = storage_narrow4(v))
#define WRITE8(v, p) (*(__global ushort8_u *)(p) = storage_narrow8(v))
#define WRITE16(v, p) storage_write16(v, p)

static inline __attribute__((always_inline)) void storage_write2(const float2 v, __global ushort *p) {
  const ushort4 bits = storage_narrow4((float4)(v, v));
  p[0] = bits.x;
  p[1] = bits.y;
}

#else

#define READ(p) vload_half(0, (const __global half *)(p))
#define READ2(p) vload_half2(0, (const __global half *)(p))
#define READ4(p) vload_half4(0, (const __global half *)(p))
#define READ8(p) vload_half8(0, (const __global half *)(p))
#define READ16(p) vload_half16(0, (const __global half *)(p))
#define WRITE(v, p) vstore_half_rte(v, 0, (__global half *)(p))
#define WRITE2(v, p) vstore_half2_rte(v, 0, (__global half *)(p))
#define WRITE4(v, p) vstore_half4_rte(v, 0, (__global half *)(p))
#define WRITE8(v, p) vstore_half8_rte(v, 0, (__global half *)(p))
#define WRITE16(v, p) vstore_half16_rte(v, 0, (__global half *)(p))

#endif
#endif
#endif
