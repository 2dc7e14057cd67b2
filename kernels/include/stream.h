// Loads and stores of VEC floats for kernels that stream through memory, with stores that may bypass the caches.
//
// Define VEC as 4, 8 or 16 before including this.
#ifndef RX580LAB_STREAM_H
#define RX580LAB_STREAM_H

#include "vec.h"

#define STREAM_JOIN_(a, b) a##b
#define STREAM_JOIN(a, b) STREAM_JOIN_(a, b)

typedef STREAM_JOIN(float, VEC) vec;
typedef STREAM_JOIN(int, VEC) ivec;
#define LOAD(p) STREAM_JOIN(LOAD, VEC)(p)
#define STORE(v, p) STREAM_JOIN(STORE, VEC)(v, p)

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif

// STREAM(v, p) stores past the caches where the compiler offers it, which saves reading each line before it is
// overwritten. p must be aligned to the whole vector, so step there with to_alignment() first.
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM(v, p) __builtin_nontemporal_store(v, (__global vec *)(p))
#else
#define STREAM(v, p) STORE(v, p)
#endif

// How many floats lie between p and the next address that is aligned to a whole vector.
static inline uint to_alignment(const __global float *p) {
  return (uint)(-((size_t)p / sizeof(float))) % VEC;
}

#endif
