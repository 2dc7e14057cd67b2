// out[i] = a[i] + s * b[i]: the bandwidth roof of two reads and one write (McCalpin's STREAM triad).
//
// Shapes: a, b, out (n), fp32, any alignment of whole floats; out overlaps neither input. Traffic: 2 reads + 1 write
// of n floats; 2 FLOP per element. Three templates; they may differ in the rounding of the product:
//   triad_plain  one element per work-item
//   triad_gpu    whole wavefronts; a work-group walks WG_X * VEC * PER_ITEM neighbouring elements, coalesced
//   triad_cpu    work-groups of one; a work-item walks TILE neighbouring elements in vectors

#include "mac.h"
#include "vec.h"

// Work-items per group of triad_gpu; unit: work-items, a multiple of 64. Four wavefronts, one for each SIMD of a CU.
#ifndef WG_X
#define WG_X 256
#endif
// Elements per load; unit: floats. clpeak on an RX 570 peaks at float4 (193 GB/s; float16 140); AVX2 holds 8.
#ifndef VEC
#define VEC 4
#endif
// Vectors per work-item of triad_gpu; unit: vectors. Independent loads in flight, to hide the latency of memory.
#ifndef PER_ITEM
#define PER_ITEM 2
#endif
// Elements per work-item of triad_cpu; unit: floats. 64 Ki floats make a launch's cost vanish and still feed all cores.
#ifndef TILE
#define TILE 65536
#endif
// From this size on, stores of triad_cpu bypass the caches; unit: floats. Out is then far larger than any cache, and
// reading each of its lines before overwriting it would be a quarter of the traffic.
#ifndef STREAM_FROM
#define STREAM_FROM 8388608
#endif

#include "stream.h"

__kernel void triad_plain(const __global float *a, const __global float *b, __global float *out, const float s,
                          const uint n) {
  const uint i = get_global_id(0);
  if (i < n) {
    out[i] = MAC(b[i], s, a[i]);
  }
}

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void triad_gpu(const __global float *a,
                                                                          const __global float *b, __global float *out,
                                                                          const float s, const uint n) {
  const uint first = (get_group_id(0) * (WG_X * PER_ITEM) + get_local_id(0)) * VEC;
#pragma unroll
  for (uint k = 0; k < PER_ITEM; ++k) {
    const uint i = first + k * (WG_X * VEC);
    if (i + VEC <= n) {
      STORE(MAC(LOAD(b + i), s, LOAD(a + i)), out + i);
    } else {
      for (uint j = i; j < n; ++j) {
        out[j] = MAC(b[j], s, a[j]);
      }
    }
  }
}

// Whole blocks of two vectors from i on; PUT is STORE or STREAM.
#define WALK(PUT)                                                                                                      \
  for (; i + 2 * VEC <= end; i += 2 * VEC) {                                                                           \
    const vec v0 = MAC(LOAD(b + i), s, LOAD(a + i));                                                                   \
    const vec v1 = MAC(LOAD(b + i + VEC), s, LOAD(a + i + VEC));                                                       \
    PUT(v0, out + i);                                                                                                  \
    PUT(v1, out + i + VEC);                                                                                            \
  }

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void triad_cpu(const __global float *a, const __global float *b,
                                                                       __global float *out, const float s,
                                                                       const uint n) {
  uint i = get_group_id(0) * TILE;
  const uint end = min(i + TILE, n);
  if (n >= STREAM_FROM) {
    for (const uint aligned = min(i + to_alignment(out + i), end); i < aligned; ++i) {
      out[i] = MAC(b[i], s, a[i]);
    }
    WALK(STREAM)
  } else {
    WALK(STORE)
  }
  for (; i < end; ++i) {
    out[i] = MAC(b[i], s, a[i]);
  }
}
