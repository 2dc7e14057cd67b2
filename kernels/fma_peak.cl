// The arithmetic roof: n_steps multiply-adds v -> v * m + c on every element, in registers.
//
// Shapes: x (n), out (n), fp32; out[i] is x[i] after n_steps steps. Traffic: 1 read + 1 write of n floats; 2 * n_steps
// FLOP per element. m and c are arguments, so no compiler can shorten the chain. Each work-item holds CHAINS
// independent vectors of VEC floats: enough to cover the latency of one multiply-add with others.
//   fma_peak_plain  one element per work-item: one dependent chain, which shows the latency
//   fma_peak_gpu    whole wavefronts; CHAINS vectors per work-item, interleaved so that loads coalesce; whole blocks of
//                   WG_X * VEC * CHAINS elements
//   fma_peak_cpu    work-groups of one; CHAINS neighbouring vectors per work-item; whole blocks of VEC * CHAINS

#include "mac.h"
#include "vec.h"

// Work-items per group of fma_peak_gpu; unit: work-items, a multiple of 64. Four wavefronts, one per SIMD of a CU.
#ifndef WG_X
#define WG_X 256
#endif
// Elements per vector; unit: floats. AVX2 holds 8 in a register; a GPU lane holds one, so there it only adds chains.
#ifndef VEC
#define VEC 4
#endif
// Independent vectors per work-item. Two FMA pipes times 4 cycles of latency need 8; 12 of 16 AVX2 registers measured
// best. On GCN a wavefront alone hides the latency (4 cycles to issue, 4 to finish); 4 hide the loop's own cost.
#ifndef CHAINS
#define CHAINS 4
#endif
// Steps per turn of the loop. Hides the loop's own compare and branch.
#ifndef UNROLL_K
#define UNROLL_K 8
#endif

#include "stream.h"

#define PRAGMA_(text) _Pragma(#text)
#define UNROLL(count) PRAGMA_(unroll count)

// The chains are named variables and not an array: LLVM 14 keeps an indexed array in memory.
#define CHAINS_1(DO) DO(0)
#define CHAINS_2(DO) CHAINS_1(DO) DO(1)
#define CHAINS_4(DO) CHAINS_2(DO) DO(2) DO(3)
#define CHAINS_6(DO) CHAINS_4(DO) DO(4) DO(5)
#define CHAINS_8(DO) CHAINS_6(DO) DO(6) DO(7)
#define CHAINS_10(DO) CHAINS_8(DO) DO(8) DO(9)
#define CHAINS_12(DO) CHAINS_10(DO) DO(10) DO(11)
#define CHAINS_14(DO) CHAINS_12(DO) DO(12) DO(13)
#define CHAINS_16(DO) CHAINS_14(DO) DO(14) DO(15)
#define EACH_CHAIN(DO) STREAM_JOIN(CHAINS_, CHAINS)(DO)

#define READ(k) vec v##k = LOAD(x + first + k * stride);
#define STEP(k) v##k = MAC(v##k, m, c);
#define WRITE(k) STORE(v##k, out + first + k * stride);

// first: where this launch begins. The other templates leave their incomplete last block to this one, so that no
// work-item of theirs runs longer than the rest.
__kernel void fma_peak_plain(const __global float *x, __global float *out, const float m, const float c,
                             const uint n_steps, const uint first, const uint n) {
  const size_t i = first + get_global_id(0);
  if (i >= n) {
    return;
  }
  float v = x[i];
  for (uint step = 0; step < n_steps; ++step) {
    v = MAC(v, m, c);
  }
  out[i] = v;
}

// All chains of one work-item: vectors at first, first + stride, ...
static inline void iterate_chains(const __global float *x, __global float *out, const uint first, const uint stride,
                                  const float m, const float c, const uint n_steps) {
  EACH_CHAIN(READ)
  UNROLL(UNROLL_K)
  for (uint step = 0; step < n_steps; ++step) {
    EACH_CHAIN(STEP)
  }
  EACH_CHAIN(WRITE)
}

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void
fma_peak_gpu(const __global float *x, __global float *out, const float m, const float c, const uint n_steps) {
  const uint first = get_group_id(0) * (WG_X * VEC * CHAINS) + get_local_id(0) * VEC;
  iterate_chains(x, out, first, WG_X * VEC, m, c, n_steps);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
fma_peak_cpu(const __global float *x, __global float *out, const float m, const float c, const uint n_steps) {
  iterate_chains(x, out, get_group_id(0) * (VEC * CHAINS), VEC, m, c, n_steps);
}
