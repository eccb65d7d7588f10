// Sums that come out the same in every kernel and for every number of rows.

#include <metal_stdlib>
using namespace metal;

// Loops over arrays that are to be registers must be unrolled.
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_TWICE _Pragma("clang loop unroll_count(2)")

// sum + a·b, in this order: written as fma, a compiler has no choice.
inline float dot_add(float4 a, float4 b, float sum) {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
