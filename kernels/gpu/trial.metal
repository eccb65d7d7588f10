// What every other kernel needs of a GPU: 32 threads in a SIMD-group that add
// and exchange values, and that multiply 8 × 8 matrices.
//
//   out[lane] = sum of the lanes' numbers + the neighbour's number + product[lane]
//
// where a lane's number is first + lane, its neighbour lane ^ 1, and product the
// first half of A·A, A[i][j] = 8i + j. One SIMD-group.

#include <metal_stdlib>
using namespace metal;

kernel void trial(
    device float* out [[buffer(0)]],
    constant uint& first [[buffer(1)]],
    uint lane [[thread_index_in_threadgroup]]) {
  threadgroup float tile[64];
  tile[lane] = lane;
  tile[lane + 32] = lane + 32;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_float8x8 a, product = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  simdgroup_load(a, tile, 8);
  simdgroup_multiply_accumulate(product, a, a, product);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_store(product, tile, 8);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float number = first + lane;
  out[lane] = simd_sum(number) + simd_shuffle_xor(number, ushort(1)) + tile[lane];
}
