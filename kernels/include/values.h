// Weights in one element type and vectors in another: `stored` as HALF says, `value` as HALF_VALUES says.
//
// Weights in fp16 with vectors in fp32 is what halves the traffic of a layer without touching what flows through it.
// READ and WRITE are storage.h's, of `stored`; READ_VALUE and WRITE_VALUE do the same for `value`.
#ifndef RX580LAB_VALUES_H
#define RX580LAB_VALUES_H

#include "mac.h"
#include "storage.h"
// Last: includes are expanded once, and it holds some of them under a condition.
#include "epilogue.h"

// Elements of vectors; unit: 1 for fp16, which asks for HALF 1, 0 for fp32.
#ifndef HALF_VALUES
#define HALF_VALUES HALF
#endif

#if HALF_VALUES
typedef stored value;
#define READ_VALUE(p) READ(p)
#define READ_VALUE4(p) READ4(p)
#define READ_VALUE8(p) READ8(p)
#define WRITE_VALUE(v, p) WRITE(v, p)
#define WRITE_VALUE8(v, p) WRITE8(v, p)
#else
typedef float value;
#define READ_VALUE(p) (*(p))
#define READ_VALUE4(p) LOAD4(p)
#define READ_VALUE8(p) LOAD8(p)
#define WRITE_VALUE(v, p) (*(p) = (v))
#define WRITE_VALUE8(v, p) STORE8(v, p)
#endif

#endif
