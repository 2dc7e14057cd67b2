// The arithmetic of gfx803_shim.h: OpenCL's functions of floats and integers, for analysis and never for execution.
//
// Include gfx803_shim.h, which holds SHIM, SHIM_VECTORS and SHIM_INTEGERS.
#ifndef RX580LAB_GFX803_SHIM_MATH_H
#define RX580LAB_GFX803_SHIM_MATH_H

// ---- floats: scalars and vectors alike.
#define SHIM_F1(T, name, value) SHIM T name(const T x) { return value; }
#define SHIM_F1_OF(T, n, name, value) SHIM_F1(T##n, name, value)
#define SHIM_FLOAT_1(name, value) SHIM_F1(float, name, value) SHIM_VECTORS(SHIM_F1_OF, float, name, value)
SHIM_FLOAT_1(fabs, __builtin_elementwise_abs(x))
SHIM_FLOAT_1(floor, __builtin_elementwise_floor(x))
SHIM_FLOAT_1(ceil, __builtin_elementwise_ceil(x))
SHIM_FLOAT_1(trunc, __builtin_elementwise_trunc(x))
SHIM_FLOAT_1(rint, __builtin_elementwise_rint(x))
SHIM_FLOAT_1(round, __builtin_elementwise_round(x))
SHIM_FLOAT_1(sqrt, __builtin_elementwise_sqrt(x))
SHIM_FLOAT_1(exp, __builtin_elementwise_exp(x))
SHIM_FLOAT_1(exp2, __builtin_elementwise_exp2(x))
SHIM_FLOAT_1(log, __builtin_elementwise_log(x))
SHIM_FLOAT_1(log2, __builtin_elementwise_log2(x))
SHIM_FLOAT_1(log10, __builtin_elementwise_log10(x))
SHIM_FLOAT_1(sin, __builtin_elementwise_sin(x))
SHIM_FLOAT_1(cos, __builtin_elementwise_cos(x))
SHIM_FLOAT_1(tan, sin(x) / cos(x))
SHIM_FLOAT_1(expm1, exp(x) - 1.0f)
SHIM_FLOAT_1(log1p, log(x + 1.0f))
SHIM_FLOAT_1(tanh, 1.0f - 2.0f / (exp(x + x) + 1.0f))
SHIM_FLOAT_1(sinh, 0.5f * (exp(x) - exp(-x)))
SHIM_FLOAT_1(cosh, 0.5f * (exp(x) + exp(-x)))
// As many steps as a driver's polynomials have; their coefficients are of no use here.
#define SHIM_POLYNOMIAL(t) (((((((t) + 1.1f) * (t) + 1.2f) * (t) + 1.3f) * (t) + 1.4f) * (t) + 1.5f) * (t) + 1.6f)
SHIM_FLOAT_1(atan, x *SHIM_POLYNOMIAL(x *x))
SHIM_FLOAT_1(asin, atan(x / sqrt(1.0f - x * x)))
SHIM_FLOAT_1(acos, 1.5707964f - asin(x))
SHIM_FLOAT_1(asinh, log(x + sqrt(x * x + 1.0f)))
SHIM_FLOAT_1(acosh, log(x + sqrt(x * x - 1.0f)))
SHIM_FLOAT_1(atanh, 0.5f * log((1.0f + x) / (1.0f - x)))
SHIM_FLOAT_1(erf, 1.0f - SHIM_POLYNOMIAL(1.0f / (1.0f + x)) * exp(-x * x))

// One instruction each, at a quarter of the rate; of a vector, one per element.
#define SHIM_PER_ELEMENT(name)                                                                                         \
  SHIM float2 name(const float2 x) { return (float2)(name(x.x), name(x.y)); }                                          \
  SHIM float3 name(const float3 x) { return (float3)(name(x.x), name(x.y), name(x.z)); }                               \
  SHIM float4 name(const float4 x) { return (float4)(name(x.lo), name(x.hi)); }                                        \
  SHIM float8 name(const float8 x) { return (float8)(name(x.lo), name(x.hi)); }                                        \
  SHIM float16 name(const float16 x) { return (float16)(name(x.lo), name(x.hi)); }
#define SHIM_NATIVE(name, value) SHIM_F1(float, name, value) SHIM_PER_ELEMENT(name)
SHIM_NATIVE(rsqrt, __builtin_amdgcn_rsqf(x))
SHIM_NATIVE(native_rsqrt, __builtin_amdgcn_rsqf(x))
SHIM_NATIVE(native_sqrt, __builtin_amdgcn_sqrtf(x))
SHIM_NATIVE(native_recip, __builtin_amdgcn_rcpf(x))
SHIM_NATIVE(half_recip, __builtin_amdgcn_rcpf(x))
SHIM_NATIVE(native_exp2, __builtin_amdgcn_exp2f(x))
SHIM_NATIVE(native_exp, __builtin_amdgcn_exp2f(1.44269504f * x))
SHIM_NATIVE(native_log2, __builtin_amdgcn_logf(x))
SHIM_NATIVE(native_log, __builtin_amdgcn_logf(x) * 0.69314718f)
SHIM_NATIVE(native_sin, __builtin_amdgcn_sinf(0.15915494f * x))
SHIM_NATIVE(native_cos, __builtin_amdgcn_cosf(0.15915494f * x))

#define SHIM_F2(T, name, value) SHIM T name(const T x, const T y) { return value; }
#define SHIM_F2_OF(T, n, name, value) SHIM_F2(T##n, name, value)
#define SHIM_FLOAT_2(name, value) SHIM_F2(float, name, value) SHIM_VECTORS(SHIM_F2_OF, float, name, value)
SHIM_FLOAT_2(fmax, __builtin_elementwise_max(x, y))
SHIM_FLOAT_2(fmin, __builtin_elementwise_min(x, y))
SHIM_FLOAT_2(copysign, __builtin_elementwise_copysign(x, y))
SHIM_FLOAT_2(fmod, x - trunc(x / y) * y)
SHIM_FLOAT_2(pow, __builtin_elementwise_pow(x, y))
SHIM_FLOAT_2(powr, __builtin_elementwise_pow(x, y))
SHIM_FLOAT_2(native_powr, native_exp2(y *native_log2(x)))
SHIM_FLOAT_2(native_divide, x *native_recip(y))
SHIM_FLOAT_2(fdim, fmax(x - y, 0.0f))
SHIM_FLOAT_2(hypot, sqrt(x *x + y * y))

#define SHIM_F3(T, name, value) SHIM T name(const T x, const T y, const T z) { return value; }
#define SHIM_F3_OF(T, n, name, value) SHIM_F3(T##n, name, value)
#define SHIM_FLOAT_3(name, value) SHIM_F3(float, name, value) SHIM_VECTORS(SHIM_F3_OF, float, name, value)
SHIM_FLOAT_3(mad, x *y + z)
SHIM_FLOAT_3(fma, __builtin_elementwise_fma(x, y, z))
SHIM_FLOAT_3(clamp, fmin(fmax(x, y), z))
SHIM_FLOAT_3(mix, x + (y - x) * z)

// A vector beside scalars.
#define SHIM_MIXED(T, n, ...)                                                                                          \
  SHIM T##n fmax(const T##n x, const T y) { return fmax(x, (T##n)(y)); }                                               \
  SHIM T##n fmin(const T##n x, const T y) { return fmin(x, (T##n)(y)); }                                               \
  SHIM T##n max(const T##n x, const T y) { return fmax(x, (T##n)(y)); }                                                \
  SHIM T##n min(const T##n x, const T y) { return fmin(x, (T##n)(y)); }                                                \
  SHIM T##n mix(const T##n x, const T##n y, const T z) { return mix(x, y, (T##n)(z)); }                                \
  SHIM T##n clamp(const T##n x, const T y, const T z) { return clamp(x, (T##n)(y), (T##n)(z)); }
SHIM_VECTORS(SHIM_MIXED, float, )
SHIM_FLOAT_2(max, fmax(x, y))
SHIM_FLOAT_2(min, fmin(x, y))

SHIM float dot(const float x, const float y) { return x * y; }
SHIM float dot(const float2 x, const float2 y) { return x.x * y.x + x.y * y.y; }
SHIM float dot(const float3 x, const float3 y) { return x.x * y.x + x.y * y.y + x.z * y.z; }
SHIM float dot(const float4 x, const float4 y) { return dot(x.lo, y.lo) + dot(x.hi, y.hi); }

// Relations give 1 for scalars and -1 for vectors.
#define SHIM_RELATION(name, test)                                                                                      \
  SHIM int name(const float x) { return test; }                                                                        \
  SHIM_VECTORS(SHIM_RELATION_OF, float, name, test)
#define SHIM_RELATION_OF(T, n, name, test) SHIM int##n name(const T##n x) { return test; }
SHIM_RELATION(isnan, x != x)
SHIM_RELATION(isinf, fabs(x) == INFINITY)
SHIM_RELATION(isfinite, fabs(x) < INFINITY)
SHIM int signbit(const float x) { return as_uint(x) >> 31; }
SHIM float sign(const float x) { return isnan(x) ? 0.0f : x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }
SHIM float ldexp(const float x, const int n) { return __builtin_ldexpf(x, n); }
SHIM float pown(const float x, const int n) { return pow(x, (float)n); }

// ---- integers.
#define SHIM_INTEGER(T, ...)                                                                                           \
  SHIM_INTEGER_OF(T, , ) SHIM_VECTORS(SHIM_INTEGER_OF, T, ) SHIM_VECTORS(SHIM_INTEGER_MIXED, T, )
#define SHIM_INTEGER_OF(T, n, ...)                                                                                     \
  SHIM T##n max(const T##n x, const T##n y) { return __builtin_elementwise_max(x, y); }                                \
  SHIM T##n min(const T##n x, const T##n y) { return __builtin_elementwise_min(x, y); }                                \
  SHIM T##n clamp(const T##n x, const T##n y, const T##n z) { return min(max(x, y), z); }                              \
  SHIM T##n add_sat(const T##n x, const T##n y) { return __builtin_elementwise_add_sat(x, y); }                        \
  SHIM T##n sub_sat(const T##n x, const T##n y) { return __builtin_elementwise_sub_sat(x, y); }
#define SHIM_INTEGER_MIXED(T, n, ...)                                                                                  \
  SHIM T##n max(const T##n x, const T y) { return max(x, (T##n)(y)); }                                                 \
  SHIM T##n min(const T##n x, const T y) { return min(x, (T##n)(y)); }                                                 \
  SHIM T##n clamp(const T##n x, const T y, const T z) { return clamp(x, (T##n)(y), (T##n)(z)); }
SHIM_INTEGERS(SHIM_INTEGER, )

// Sign or zero extension of 24 bits, which selects v_mad_i32_i24 and v_mad_u32_u24.
#define SHIM_24(T, n, low, ...)                                                                                        \
  SHIM T##n mul24(const T##n x, const T##n y) { return low(x) * low(y); }                                              \
  SHIM T##n mad24(const T##n x, const T##n y, const T##n z) { return low(x) * low(y) + z; }
#define SHIM_LOW_SIGNED(x) (((x) << 8) >> 8)
#define SHIM_LOW_UNSIGNED(x) ((x) & 0xffffffu)
SHIM_24(int, , SHIM_LOW_SIGNED)
SHIM_24(uint, , SHIM_LOW_UNSIGNED)
SHIM_VECTORS(SHIM_24, int, SHIM_LOW_SIGNED)
SHIM_VECTORS(SHIM_24, uint, SHIM_LOW_UNSIGNED)
SHIM int mul_hi(const int x, const int y) { return (long)x * y >> 32; }
SHIM uint mul_hi(const uint x, const uint y) { return (ulong)x * y >> 32; }
SHIM int popcount(const int x) { return __builtin_popcount(x); }
SHIM uint popcount(const uint x) { return __builtin_popcount(x); }
SHIM ulong popcount(const ulong x) { return __builtin_popcountl(x); }
SHIM int clz(const int x) { return x ? __builtin_clz(x) : 32; }
SHIM uint clz(const uint x) { return x ? __builtin_clz(x) : 32; }
SHIM uint rotate(const uint x, const uint n) { return x << (n & 31) | x >> (-n & 31); }
SHIM int rotate(const int x, const int n) { return (int)rotate((uint)x, (uint)n); }
SHIM uint abs(const int x) { return x < 0 ? -(uint)x : x; }
SHIM uint abs(const uint x) { return x; }
SHIM ulong abs(const long x) { return x < 0 ? -(ulong)x : x; }
SHIM uchar abs(const char x) { return x < 0 ? -x : x; }
SHIM ushort abs(const short x) { return x < 0 ? -x : x; }

// ---- selection: by truth of a scalar, by the sign bit of a vector's element.
#define SHIM_SELECT(T, I)                                                                                              \
  SHIM T select(const T x, const T y, const I c) { return c ? y : x; }                                                 \
  SHIM_VECTORS(SHIM_SELECT_OF, T, I)
#define SHIM_SELECT_OF(T, n, I)                                                                                        \
  SHIM T##n select(const T##n x, const T##n y, const I##n c) { return c < (I##n)(0) ? y : x; }
SHIM_SELECT(float, int)
SHIM_SELECT(int, int)
SHIM_SELECT(uint, int)
SHIM_SELECT(char, char)
SHIM_SELECT(uchar, char)
SHIM_SELECT(short, short)
SHIM_SELECT(ushort, short)
SHIM_SELECT(long, long)
SHIM_SELECT(ulong, long)
SHIM float select(const float x, const float y, const uint c) { return c ? y : x; }
SHIM int select(const int x, const int y, const uint c) { return c ? y : x; }
SHIM uint select(const uint x, const uint y, const uint c) { return c ? y : x; }
SHIM int any(const int x) { return x < 0; }
SHIM int any(const int2 x) { return (x.x | x.y) < 0; }
SHIM int any(const int4 x) { return any(x.lo | x.hi); }
SHIM int any(const int8 x) { return any(x.lo | x.hi); }
SHIM int all(const int2 x) { return (x.x & x.y) < 0; }
SHIM int all(const int4 x) { return all(x.lo & x.hi); }
SHIM int all(const int8 x) { return all(x.lo & x.hi); }

#endif
