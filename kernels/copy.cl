// out[i] = x[i]: the bandwidth roof of one read and one write.
//
// Shapes: x (n), out (n), fp32, any alignment of whole floats; x and out do not overlap. Traffic: 1 read + 1 write
// of n floats. Three templates, one result bit for bit:
//   copy_plain  one element per work-item
//   copy_gpu    whole wavefronts; a work-group walks WG_X * VEC * PER_ITEM neighbouring elements, coalesced
//   copy_cpu    work-groups of one; a work-item walks TILE neighbouring elements in vectors

#include "vec.h"

// Work-items per group of copy_gpu; unit: work-items, a multiple of 64. Four wavefronts, one for each SIMD of a CU.
#ifndef WG_X
#define WG_X 256
#endif
// Elements per load; unit: floats. clpeak on an RX 570 peaks at float4 (193 GB/s; float16 140); AVX2 holds 8.
#ifndef VEC
#define VEC 4
#endif
// Vectors per work-item of copy_gpu; unit: vectors. Independent loads in flight, to hide the latency of memory.
#ifndef PER_ITEM
#define PER_ITEM 4
#endif
// Elements per work-item of copy_cpu; unit: floats. 64 Ki floats make a launch's cost vanish and still feed all cores.
#ifndef TILE
#define TILE 65536
#endif
// From this size on, stores of copy_cpu bypass the caches; unit: floats. Out is then far larger than any cache, and
// reading each of its lines before overwriting it would be a third of the traffic.
#ifndef STREAM_FROM
#define STREAM_FROM 8388608
#endif

#include "stream.h"

__kernel void copy_plain(const __global float *x, __global float *out, const uint n) {
  const uint i = get_global_id(0);
  if (i < n) {
    out[i] = x[i];
  }
}

__kernel __attribute__((reqd_work_group_size(WG_X, 1, 1))) void copy_gpu(const __global float *x, __global float *out,
                                                                         const uint n) {
  const uint first = (get_group_id(0) * (WG_X * PER_ITEM) + get_local_id(0)) * VEC;
#pragma unroll
  for (uint k = 0; k < PER_ITEM; ++k) {
    const uint i = first + k * (WG_X * VEC);
    if (i + VEC <= n) {
      STORE(LOAD(x + i), out + i);
    } else {
      for (uint j = i; j < n; ++j) {
        out[j] = x[j];
      }
    }
  }
}

// Whole blocks of four vectors from i on; PUT is STORE or STREAM.
#define WALK(PUT)                                                                                                      \
  for (; i + 4 * VEC <= end; i += 4 * VEC) {                                                                           \
    const vec v0 = LOAD(x + i), v1 = LOAD(x + i + VEC), v2 = LOAD(x + i + 2 * VEC), v3 = LOAD(x + i + 3 * VEC);        \
    PUT(v0, out + i);                                                                                                  \
    PUT(v1, out + i + VEC);                                                                                            \
    PUT(v2, out + i + 2 * VEC);                                                                                        \
    PUT(v3, out + i + 3 * VEC);                                                                                        \
  }

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void copy_cpu(const __global float *x, __global float *out,
                                                                      const uint n) {
  uint i = get_group_id(0) * TILE;
  const uint end = min(i + TILE, n);
  if (n >= STREAM_FROM) {
    for (const uint aligned = min(i + to_alignment(out + i), end); i < aligned; ++i) {
      out[i] = x[i];
    }
    WALK(STREAM)
  } else {
    WALK(STORE)
  }
  for (; i < end; ++i) {
    out[i] = x[i];
  }
}
