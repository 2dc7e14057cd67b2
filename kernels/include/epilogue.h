// The activation at the end of an op: out = activation(value + bias + residual), one of them per build.
//
// ACTIVATE(v, alpha, beta), ACTIVATE4, ACTIVATE8, ACTIVATE16: of a float, float4, float8, float16; alpha and beta are
// floats, kernel arguments, whose meaning the activation gives them. Without an activation v itself.
#ifndef RX580LAB_EPILOGUE_H
#define RX580LAB_EPILOGUE_H

// Here, and not only by way of activation.h: a file is included once in a text, and under the #if it might be lost.
#include "mac.h"

// Which activation; unit: a code of the list below, which rx580lab/ops/epilogue.py shares. 0 for none.
#ifndef ACTIVATION
#define ACTIVATION 0
#endif

#if ACTIVATION != 0
#include "activation.h"
#endif

#if ACTIVATION == 0
#define ACTIVATE_BY(n, v, alpha, beta) (v)
#elif ACTIVATION == 1
#define ACTIVATE_BY(n, v, alpha, beta) relu_##n(v)
#elif ACTIVATION == 2
#define ACTIVATE_BY(n, v, alpha, beta) leaky_relu_##n(v, alpha)
#elif ACTIVATION == 3
#define ACTIVATE_BY(n, v, alpha, beta) clip_##n(v, alpha, beta)
#elif ACTIVATION == 4
#define ACTIVATE_BY(n, v, alpha, beta) hard_swish_##n(v, alpha, beta)
#elif ACTIVATION == 5
#define ACTIVATE_BY(n, v, alpha, beta) hard_sigmoid_##n(v, alpha, beta)
#elif ACTIVATION == 6
#define ACTIVATE_BY(n, v, alpha, beta) gelu_##n(v)
#elif ACTIVATION == 7
#define ACTIVATE_BY(n, v, alpha, beta) gelu_tanh_##n(v)
#elif ACTIVATION == 8
#define ACTIVATE_BY(n, v, alpha, beta) silu_##n(v)
#elif ACTIVATION == 9
#define ACTIVATE_BY(n, v, alpha, beta) sigmoid_##n(v)
#elif ACTIVATION == 10
#define ACTIVATE_BY(n, v, alpha, beta) tanh_##n(v)
#elif ACTIVATION == 11
#define ACTIVATE_BY(n, v, alpha, beta) elu_##n(v, alpha)
#elif ACTIVATION == 12
#define ACTIVATE_BY(n, v, alpha, beta) selu_##n(v, alpha, beta)
#elif ACTIVATION == 13
#define ACTIVATE_BY(n, v, alpha, beta) softplus_##n(v)
#elif ACTIVATION == 14
#define ACTIVATE_BY(n, v, alpha, beta) mish_##n(v)
#elif ACTIVATION == 15
#define ACTIVATE_BY(n, v, alpha, beta) softsign_##n(v)
#elif ACTIVATION == 16
#define ACTIVATE_BY(n, v, alpha, beta) hard_swish_affine_##n(v, alpha, beta)
#endif

#define ACTIVATE(v, alpha, beta) ACTIVATE_BY(1, v, alpha, beta)
#define ACTIVATE4(v, alpha, beta) ACTIVATE_BY(4, v, alpha, beta)
#define ACTIVATE8(v, alpha, beta) ACTIVATE_BY(8, v, alpha, beta)
#define ACTIVATE16(v, alpha, beta) ACTIVATE_BY(16, v, alpha, beta)

#endif
