// out[b, h, t] = sum over s of weight[s] * v[b, g, s], weight = softmax over s of scale * <q[b, h, t], k[b, g, s]> + mask.
//
// Shapes: q (B,H,T,D), k (B,G,S,D), v (B,G,S,E), out (B,H,T,E), fp32 or fp16 (HALF) in memory; head h reads the keys and
// values of g = h / (H/G). Where each lies: q_at, k_at, v_at, out_at = (first element, from one b to the next, from one g
// to the next, from one row to the next), in elements; the rows of the H/G heads of one g follow one another. mask: added to the scores, its element of (b, h, t, s) at the strides mask_b,
// mask_h, mask_t, mask_s (0 where it is broadcast); not read unless has_mask. A row t sees the keys s <= limit + t:
// causal attention; without it limit is S. A row that sees no key, or only masks of -infinity, gets zeros.
//
// This is the plain kernel: one work-item per row of out; it computes each score twice, first for the row's maximum.
// sums (B*H*T, E) are its running sums in fp32. attention_gpu.cl is shaped for wavefronts, attention_cpu.cl and
// attention_cpu_few.cl for processors; none of them holds T x S scores.

#include "exp.h"
#include "head_place.h"
#include "mac.h"
#include "storage.h"

DEFINE_EXP(exp_of, float, int)

static inline float dot_of(const __global stored *a, const __global stored *b, const int n) {
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) {
    sum = MAC(READ(a + i), READ(b + i), sum);
  }
  return sum;
}

__kernel void attention_plain(const __global stored *q, const __global stored *k, const __global stored *v,
                              const __global stored *mask, __global stored *out, __global float *sums, const uint n_rows,
                              const int H, const int G, const int T, const int S, const int D, const int E,
                              const float scale, const int limit, const int has_mask, const uint mask_b,
                              const uint mask_h, const uint mask_t, const uint mask_s, const uint4 q_at,
                              const uint4 k_at, const uint4 v_at, const uint4 out_at) {
  const uint row = get_global_id(0);
  if (row >= n_rows) {
    return;
  }
  // Remainders by hand: LLVM joins a quotient and its remainder by an instruction that Oclgrind does not know.
  const uint head = row / T, b = head / H, t = row - head * T, h = head - b * H;
  const uint g = h / (H / G), row_of_pair = (h - g * (H / G)) * T + t;
  q += PLACE_OF(q_at, b, g) + (size_t)row_of_pair * q_at.w;
  k += PLACE_OF(k_at, b, g);
  v += PLACE_OF(v_at, b, g);
  out += PLACE_OF(out_at, b, g) + (size_t)row_of_pair * out_at.w;
  sums += (size_t)row * E;
  mask += (size_t)b * mask_b + (size_t)h * mask_h + (size_t)t * mask_t;
  const int end = min((long)S, (long)limit + t + 1);
  float top = -INFINITY;
  for (int s = 0; s < end; ++s) {
    const float score = scale * dot_of(q, k + (size_t)s * k_at.w, D) + (has_mask ? READ(mask + (size_t)s * mask_s) : 0.0f);
    top = score > top ? score : top; // drops a NaN; the sum meets it again
  }
  const float shift = top == -INFINITY ? 0.0f : top;
  for (int e = 0; e < E; ++e) {
    sums[e] = 0.0f;
  }
  float total = 0.0f;
  for (int s = 0; s < end; ++s) {
    const float score = scale * dot_of(q, k + (size_t)s * k_at.w, D) + (has_mask ? READ(mask + (size_t)s * mask_s) : 0.0f);
    const float weight = exp_of(score - shift);
    total += weight;
    for (int e = 0; e < E; ++e) {
      sums[e] = MAC(weight, READ(v + (size_t)s * v_at.w + e), sums[e]);
    }
  }
  const float factor = total == 0.0f ? 0.0f : 1.0f / total;
  for (int e = 0; e < E; ++e) {
    WRITE(sums[e] * factor, out + e);
  }
}
