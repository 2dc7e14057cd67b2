// Multiply-add, spelled so that every compiler we meet turns it into its quickest instruction.
//
// a * b + c with contraction allowed becomes one fused or mad instruction (v_mac_f32 on gfx803, vfmadd on x86).
// fma() stays a function call on PoCL and is the quarter-rate v_fma_f32 on gfx803; mad() is a call on PoCL too.
#ifndef RX580LAB_MAC_H
#define RX580LAB_MAC_H

#pragma OPENCL FP_CONTRACT ON

// a, b, c: any mix of scalars and vectors that * and + accept; each is evaluated once.
#define MAC(a, b, c) ((a) * (b) + (c))

#endif
