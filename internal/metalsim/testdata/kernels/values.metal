// Values that MSL leaves undefined.
#include <metal_stdlib>
using namespace metal;

kernel void vector_division(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = (uint2(7) / uint2(i, i + 1)).y;
}
kernel void vector_division_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = (uint2(7) / uint2(i + 1, i + 2)).y;
}

kernel void shift(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = 1u << i;
}
kernel void shift_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = 1u << (i & 31);
}

kernel void vector_shift(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = (uint2(64) >> uint2(0, i)).x;
}
kernel void vector_shift_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = (uint2(64) >> uint2(0, i % 32)).x;
}

kernel void signed_overflow(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  int row = int(i) + 50000;
  y[i] = row * row > 0 ? 1 : 2;
}
kernel void signed_overflow_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  long row = int(i) + 50000;
  y[i] = row * row > 0 ? 1 : 2;
}

kernel void lane_past(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = simd_shuffle(x[i], i);
}
kernel void lane_past_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = simd_shuffle(x[i], i & 31);
}
