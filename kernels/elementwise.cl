// out = f(a), f(a, b) or f(a, b, c), element by element, operands broadcast as numpy has it.
//
// Shapes: broadcast.h. Types: fp32, or fp16 storage with fp32 arithmetic (HALF); integers and bool (TYPE). For an
// operand that the function does not take, the one before it with strides of 0. Traffic: 1 read of each operand + 1 write
// of out. out may be an operand that does not broadcast. This is the plain kernel: one element per work-item, all functions,
// also those that OpenCL's own precise builtins compute (CALLS). elementwise_cpu.cl is for a processor's cores,
// elementwise_cast.cl converts types.

#define VEC 1
#include "broadcast.h"
#include "elementwise.h"

#if DOMAIN == FLOAT
#define LOAD_A(p) READ(p)
#define LOAD_B(p) READ(p)
#else
#define LOAD_A(p) (*(p))
#define LOAD_B(p) (*(p))
#endif
#if DOMAIN == FLOAT && !RESULT
#define STORE_OUT(v, p) WRITE(v, p)
#else
#define STORE_OUT(v, p) (*(p) = (v))
#endif

__kernel void elementwise_plain(const __global a_type *a, const __global b_type *b, const __global b_type *c,
                                __global out_type *out, const int function, const float alpha, const float beta,
                                const uint n, BROADCAST_ARGUMENTS) {
  const uint i = get_global_id(0);
  if (i >= n) {
    return;
  }
  BROADCAST_OFFSETS(i, n)
  const a_value x = LOAD_A(a + at_a);
  const b_value y = LOAD_B(b + at_b);
  const b_value z = LOAD_B(c + at_c);
  STORE_OUT(apply(function, x, y, z, alpha, beta), out + out_base + i);
}
