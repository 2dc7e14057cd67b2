// The OpenCL builtins that our kernels use, over clang's own: so that a bare clang compiles them to gfx803 code.
//
// For analysis, NEVER for execution: rx580lab.polaris puts this text before a kernel, and no device ever gets it. A
// driver brings its own builtins. Those that are one or few instructions on every driver (work-item functions, barrier,
// min, mad24, native_exp ...) come out as they do there; sin, pow, tanh and erf are stand-ins of about the right kind
// of cost, shorter than a driver's and with errors of their own. What is missing here stays a call, which polaris
// reports: add a builtin when a kernel uses it.
#ifndef RX580LAB_GFX803_SHIM_H
#define RX580LAB_GFX803_SHIM_H

#define SHIM static inline __attribute__((overloadable, always_inline))
// Calls DO(T, n, ...) for the vectors of T.
#define SHIM_VECTORS(DO, T, ...)                                                                                       \
  DO(T, 2, __VA_ARGS__) DO(T, 3, __VA_ARGS__) DO(T, 4, __VA_ARGS__) DO(T, 8, __VA_ARGS__) DO(T, 16, __VA_ARGS__)
#define SHIM_INTEGERS(DO, ...)                                                                                         \
  DO(char, __VA_ARGS__) DO(uchar, __VA_ARGS__) DO(short, __VA_ARGS__) DO(ushort, __VA_ARGS__) DO(int, __VA_ARGS__)     \
  DO(uint, __VA_ARGS__) DO(long, __VA_ARGS__) DO(ulong, __VA_ARGS__)
#define SHIM_SPACES(DO, T, n)                                                                                          \
  DO(T, n, const __global) DO(T, n, const __constant) DO(T, n, const __local) DO(T, n, const __private)
#define SHIM_WRITABLE(DO, T, n) DO(T, n, __global) DO(T, n, __local) DO(T, n, __private)

// ---- work-items. The hidden arguments lie as code object version 5 has them; unit of the places: bytes.
#define SHIM_HIDDEN(T, place)                                                                                          \
  (*(const __constant T *)((const __constant char *)__builtin_amdgcn_implicitarg_ptr() + (place)))
#define SHIM_XYZ(d, x, y, z, past) ((d) == 0 ? (x) : (d) == 1 ? (y) : (d) == 2 ? (z) : (past))

SHIM size_t get_local_id(uint d) {
  return SHIM_XYZ(d, __builtin_amdgcn_workitem_id_x(), __builtin_amdgcn_workitem_id_y(),
                  __builtin_amdgcn_workitem_id_z(), 0);
}
SHIM size_t get_group_id(uint d) {
  return SHIM_XYZ(d, __builtin_amdgcn_workgroup_id_x(), __builtin_amdgcn_workgroup_id_y(),
                  __builtin_amdgcn_workgroup_id_z(), 0);
}
SHIM size_t get_local_size(uint d) {
  return SHIM_XYZ(d, __builtin_amdgcn_workgroup_size_x(), __builtin_amdgcn_workgroup_size_y(),
                  __builtin_amdgcn_workgroup_size_z(), 1);
}
SHIM size_t get_global_size(uint d) {
  return SHIM_XYZ(d, __builtin_amdgcn_grid_size_x(), __builtin_amdgcn_grid_size_y(), __builtin_amdgcn_grid_size_z(), 1);
}
SHIM size_t get_num_groups(uint d) { return d < 3 ? SHIM_HIDDEN(uint, 4 * d) : 1; }
SHIM size_t get_global_offset(uint d) { return d < 3 ? SHIM_HIDDEN(ulong, 40 + 8 * d) : 0; }
SHIM uint get_work_dim(void) { return SHIM_HIDDEN(ushort, 64); }
SHIM size_t get_global_id(uint d) {
  return get_group_id(d) * (uint)get_local_size(d) + get_local_id(d) + get_global_offset(d);
}

SHIM void mem_fence(uint flags) { __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "workgroup"); }
SHIM void read_mem_fence(uint flags) { __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup"); }
SHIM void write_mem_fence(uint flags) { __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup"); }
SHIM __attribute__((convergent)) void barrier(uint flags) {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

#include "gfx803_shim_math.h"

// ---- conversions: plain ones between all types; to integers from floats also _rte (to nearest even), _rtz and _sat.
#define SHIM_CONVERT(D, S) SHIM D convert_##D(const S x) { return (D)x; } SHIM_VECTORS(SHIM_CONVERT_OF, D, S)
#define SHIM_CONVERT_OF(D, n, S) SHIM D##n convert_##D##n(const S##n x) { return __builtin_convertvector(x, D##n); }
#define SHIM_CONVERT_TO(D, ...)                                                                                        \
  SHIM_CONVERT(D, char) SHIM_CONVERT(D, uchar) SHIM_CONVERT(D, short) SHIM_CONVERT(D, ushort) SHIM_CONVERT(D, int)     \
  SHIM_CONVERT(D, uint) SHIM_CONVERT(D, long) SHIM_CONVERT(D, ulong) SHIM_CONVERT(D, float)
SHIM_CONVERT_TO(float, )
SHIM_INTEGERS(SHIM_CONVERT_TO, )
#define SHIM_ROUND(D, n, ...)                                                                                          \
  SHIM D##n convert_##D##n##_rte(const float##n x) { return convert_##D##n(rint(x)); }                                 \
  SHIM D##n convert_##D##n##_rtz(const float##n x) { return convert_##D##n(x); }
#define SHIM_ROUND_ALL(D, ...) SHIM_ROUND(D, , ) SHIM_VECTORS(SHIM_ROUND, D, )
SHIM_INTEGERS(SHIM_ROUND_ALL, )
#define SHIM_SATURATE(D, low, high)                                                                                    \
  SHIM_SATURATE_OF(D, , low, high) SHIM_VECTORS(SHIM_SATURATE_OF, D, low, high)
#define SHIM_SATURATE_OF(D, n, low, high)                                                                              \
  SHIM D##n convert_##D##n##_sat(const int##n x) { return convert_##D##n(clamp(x, (int##n)(low), (int##n)(high))); }   \
  SHIM D##n convert_##D##n##_sat(const float##n x) {                                                                   \
    return convert_##D##n(clamp(x, (float##n)(low), (float##n)(high)));                                                \
  }                                                                                                                    \
  SHIM D##n convert_##D##n##_sat_rtz(const float##n x) { return convert_##D##n##_sat(x); }                             \
  SHIM D##n convert_##D##n##_sat_rte(const float##n x) { return convert_##D##n##_sat(rint(x)); }
SHIM_SATURATE(char, -128, 127)
SHIM_SATURATE(uchar, 0, 255)
SHIM_SATURATE(short, -32768, 32767)
SHIM_SATURATE(ushort, 0, 65535)
// The conversion instruction of gfx803 saturates by itself.
SHIM int convert_int_sat(const float x) { return (int)clamp(x, -2147483648.0f, 2147483520.0f); }
SHIM int convert_int_sat_rte(const float x) { return convert_int_sat(rint(x)); }
SHIM int convert_int_sat(const long x) { return (int)clamp(x, (long)INT_MIN, (long)INT_MAX); }
SHIM uint convert_uint_sat(const float x) { return (uint)clamp(x, 0.0f, 4294967040.0f); }

// ---- memory: vectors at the alignment of one element, halves, atomics.
#define SHIM_VLOAD_OF(T, n, space)                                                                                     \
  SHIM T##n vload##n(const size_t i, space T *p) {                                                                     \
    typedef T##n unaligned __attribute__((aligned(sizeof(T))));                                                        \
    return *(space unaligned *)(p + i * n);                                                                            \
  }
#define SHIM_VSTORE_OF(T, n, space)                                                                                    \
  SHIM void vstore##n(const T##n v, const size_t i, space T *p) {                                                      \
    typedef T##n unaligned __attribute__((aligned(sizeof(T))));                                                        \
    *(space unaligned *)(p + i * n) = v;                                                                               \
  }
#define SHIM_MOVES(T, n)                                                                                               \
  SHIM_SPACES(SHIM_VLOAD_OF, T, n) SHIM_WRITABLE(SHIM_VSTORE_OF, T, n)
#define SHIM_MEMORY(T, ...) SHIM_MOVES(T, 2) SHIM_MOVES(T, 4) SHIM_MOVES(T, 8) SHIM_MOVES(T, 16)
SHIM_INTEGERS(SHIM_MEMORY, )
SHIM_MEMORY(float, )

#define SHIM_LOAD_HALF(T, n, space)                                                                                    \
  SHIM float vload_half(const size_t i, space half *p) { return __builtin_load_halff(p + i); }                         \
  SHIM float2 vload_half2(const size_t i, space half *p) {                                                             \
    return (float2)(vload_half(2 * i, p), vload_half(2 * i + 1, p));                                                   \
  }                                                                                                                    \
  SHIM float4 vload_half4(const size_t i, space half *p) {                                                             \
    return (float4)(vload_half2(2 * i, p), vload_half2(2 * i + 1, p));                                                 \
  }                                                                                                                    \
  SHIM float8 vload_half8(const size_t i, space half *p) {                                                             \
    return (float8)(vload_half4(2 * i, p), vload_half4(2 * i + 1, p));                                                 \
  }
SHIM_SPACES(SHIM_LOAD_HALF, , )
#define SHIM_STORE_HALF(T, n, space)                                                                                   \
  SHIM void vstore_half(const float v, const size_t i, space half *p) { __builtin_store_halff(v, p + i); }             \
  SHIM void vstore_half2(const float2 v, const size_t i, space half *p) {                                              \
    vstore_half(v.x, 2 * i, p), vstore_half(v.y, 2 * i + 1, p);                                                        \
  }                                                                                                                    \
  SHIM void vstore_half4(const float4 v, const size_t i, space half *p) {                                              \
    vstore_half2(v.lo, 2 * i, p), vstore_half2(v.hi, 2 * i + 1, p);                                                    \
  }                                                                                                                    \
  SHIM void vstore_half8(const float8 v, const size_t i, space half *p) {                                              \
    vstore_half4(v.lo, 2 * i, p), vstore_half4(v.hi, 2 * i + 1, p);                                                    \
  }                                                                                                                    \
  /* The card's own conversion rounds to the nearest, ties to even, too. */                                            \
  SHIM void vstore_half_rte(const float v, const size_t i, space half *p) { vstore_half(v, i, p); }                    \
  SHIM void vstore_half2_rte(const float2 v, const size_t i, space half *p) { vstore_half2(v, i, p); }                 \
  SHIM void vstore_half4_rte(const float4 v, const size_t i, space half *p) { vstore_half4(v, i, p); }                 \
  SHIM void vstore_half8_rte(const float8 v, const size_t i, space half *p) { vstore_half8(v, i, p); }
SHIM_WRITABLE(SHIM_STORE_HALF, , )

#define SHIM_ATOMICS(T, space)                                                                                         \
  SHIM T atomic_add(volatile space T *p, const T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }             \
  SHIM T atomic_sub(volatile space T *p, const T v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }             \
  SHIM T atomic_inc(volatile space T *p) { return __atomic_fetch_add(p, 1, __ATOMIC_RELAXED); }                        \
  SHIM T atomic_dec(volatile space T *p) { return __atomic_fetch_sub(p, 1, __ATOMIC_RELAXED); }                        \
  SHIM T atomic_min(volatile space T *p, const T v) { return __atomic_fetch_min(p, v, __ATOMIC_RELAXED); }             \
  SHIM T atomic_max(volatile space T *p, const T v) { return __atomic_fetch_max(p, v, __ATOMIC_RELAXED); }             \
  SHIM T atomic_and(volatile space T *p, const T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }             \
  SHIM T atomic_or(volatile space T *p, const T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }               \
  SHIM T atomic_xchg(volatile space T *p, const T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }           \
  SHIM T atomic_cmpxchg(volatile space T *p, T expected, const T v) {                                                  \
    __atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);                               \
    return expected;                                                                                                   \
  }
SHIM_ATOMICS(int, __global)
SHIM_ATOMICS(int, __local)
SHIM_ATOMICS(uint, __global)
SHIM_ATOMICS(uint, __local)

#endif
