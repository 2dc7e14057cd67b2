// Convolution, one work-item per element of the output: any case, short, and the yardstick of the other templates.
//
// Shapes: x (N, C, ...), w (K, C/group, ...), bias (K), residual and out (N, K, ...), one to three spatial axes seen as
// three (absent ones of length 1), row-major, fp32 or fp16 as HALF says, sums in fp32. NDRange: elements of out,
// rounded up to whole groups. Traffic: 2 reads per product, 1 write per element; neighbours along a row share most.
//
// Padding is zeros that are multiplied like any value, as in every template: an infinite weight makes NaN of them.

#include "mac.h"
#include "storage.h"

#include "epilogue.h"

// flags: which of the optional arrays are there; unit: bits.
#define WITH_BIAS 1
#define WITH_RESIDUAL 2

// Of each int4: depth, height, width in x, y, z.
__kernel void conv_plain(const uint n_values, const uint channels_each, const uint filters_each, const uint n_groups,
                         const int4 size, const int4 out_size, const int4 window, const int4 strides,
                         const int4 dilations, const int4 before, const int flags, const float alpha, const float beta,
                         const __global stored *restrict x, const __global stored *restrict w,
                         const __global stored *restrict bias, const __global stored *restrict residual,
                         __global stored *restrict out) {
  const uint i = get_global_id(0);
  if (i >= n_values) {
    return;
  }
  // Remainders by multiplication: beside a division, LLVM makes of % what Oclgrind cannot follow (freeze).
  const uint rows = i / out_size.z, planes = rows / out_size.y, image_filter = planes / out_size.x;
  const uint filters = filters_each * n_groups, image = image_filter / filters;
  const uint filter = image_filter - image * filters;
  const int4 place = (int4)(planes - image_filter * out_size.x, rows - planes * out_size.y, i - rows * out_size.z, 0);
  const size_t area = (size_t)size.x * size.y * size.z;
  x += ((size_t)image * (channels_each * n_groups) + filter / filters_each * channels_each) * area;
  w += (size_t)filter * channels_each * (window.x * window.y * window.z);
  const int4 first = place * strides - before;
  float sum = 0.0f;
  for (uint c = 0; c < channels_each; ++c, x += area) {
    for (int r = 0; r < window.x; ++r) {
      const int d = first.x + r * dilations.x;
      for (int s = 0; s < window.y; ++s) {
        const int h = first.y + s * dilations.y;
        // No column of a row outside x is inside.
        const uint width = (uint)d < (uint)size.x && (uint)h < (uint)size.y ? size.z : 0;
        const __global stored *from = x + ((size_t)d * size.y + h) * size.z;
        for (int t = 0; t < window.z; ++t, ++w) {
          const uint v = first.z + t * dilations.z;
          const float value = v < width ? READ(from + v) : 0.0f;
          sum = MAC(value, READ(w), sum);
        }
      }
    }
  }
  if (flags & WITH_BIAS) {
    sum += READ(bias + filter);
  }
  if (flags & WITH_RESIDUAL) {
    sum += READ(residual + i);
  }
  WRITE(ACTIVATE(sum, alpha, beta), out + i);
}
