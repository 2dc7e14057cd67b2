// Vector types whose pointers need only the alignment of one element.
//
// vloadN and vstoreN stay function calls on PoCL (LLVM 14), with every vector register spilled around them. A load
// through a pointer to one of these types is one plain vector load there, and legal at any element offset:
//     float8 x = *(const __global float8_u *)(row + 3);
// On gfx803 a global load of any width wants only dword alignment (clang 18 emits one dwordx4); LDS wants 16 bytes for
// ds_read_b128, so point to float4 itself there.
#ifndef RX580LAB_VEC_H
#define RX580LAB_VEC_H

typedef float2 float2_u __attribute__((aligned(4)));
typedef float4 float4_u __attribute__((aligned(4)));
typedef float8 float8_u __attribute__((aligned(4)));
typedef float16 float16_u __attribute__((aligned(4)));

// Aliasing: clang keeps no alias class for vectors, so they may view an array of their element type.
#define LOAD2(p) (*(const __global float2_u *)(p))
#define LOAD4(p) (*(const __global float4_u *)(p))
#define LOAD8(p) (*(const __global float8_u *)(p))
#define LOAD16(p) (*(const __global float16_u *)(p))
#define STORE2(v, p) (*(__global float2_u *)(p) = (v))
#define STORE4(v, p) (*(__global float4_u *)(p) = (v))
#define STORE8(v, p) (*(__global float8_u *)(p) = (v))
#define STORE16(v, p) (*(__global float16_u *)(p) = (v))

// Asks for a line of cache ahead of its use, also past the end of a buffer: `level` 3 brings it to L1, 2 to L2. A GPU
// hides latency by its wavefronts instead. OpenCL's own prefetch() is an empty function on PoCL.
#if defined(__x86_64__)
#define PREFETCH(p, level) __builtin_prefetch((const void *)(size_t)(p), 0, level)
#else
#define PREFETCH(p, level)
#endif

#endif
