// batchnorm for processors with vector registers: a work-item takes rows_per_item rows, each one channel of one image.
//
// Shapes and formula as in batchnorm.cl; out may be x. Work-groups of one; NDRange: ceil(N*C / rows_per_item).

#include "mac.h"
#include "epilogue.h"
#include "storage.h"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
batchnorm_cpu(const __global stored *x, const __global stored *scale, const __global stored *bias,
              const __global stored *mean, const __global stored *variance, __global stored *out, const uint n_rows,
              const uint n_channels, const uint inner, const float epsilon, const float alpha, const float beta,
              const uint rows_per_item) {
  const uint first = get_group_id(0) * rows_per_item;
  const uint end = min(first + rows_per_item, n_rows);
  x += (size_t)first * inner;
  out += (size_t)first * inner;
  for (uint row = first; row < end; ++row, x += inner, out += inner) {
    const uint c = row % n_channels;
    const float factor = READ(scale + c) / sqrt(READ(variance + c) + epsilon);
    const float middle = READ(mean + c), shift = READ(bias + c);
    uint i = 0;
    for (; i + 16 <= inner; i += 16) {
      const float16 v = MAC(READ16(x + i) - middle, factor, (float16)(shift));
      WRITE16(ACTIVATE16(v, alpha, beta), out + i);
    }
    for (; i < inner; ++i) {
      const float v = MAC(READ(x + i) - middle, factor, shift);
      WRITE(ACTIVATE(v, alpha, beta), out + i);
    }
  }
}
