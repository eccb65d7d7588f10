// Barriers and SIMD-group operations that not all threads reach.
#include <metal_stdlib>
using namespace metal;

kernel void early_return(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], constant uint &n [[buffer(3)]],
                         uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  if (i >= n) return;
  s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[0];
}
kernel void early_return_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], constant uint &n [[buffer(3)]],
                               uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  if (i < n) s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i < n) y[i] = s[0];
}

kernel void two_barriers(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                         uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  s[i] = x[i];
  if (i & 32) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
  } else {
    threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  }
  y[i] = s[i];
}
kernel void two_barriers_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                               uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  y[i] = s[i];
}

kernel void loop_barrier(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                         uint i [[thread_position_in_threadgroup]]) {
  float v = 0;
  for (uint k = 0; k < 1 + i / 32; k++) {
    v += x[i];
    threadgroup_barrier(mem_flags::mem_none);
  }
  y[i] = v;
}
kernel void loop_barrier_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                               uint i [[thread_position_in_threadgroup]]) {
  float v = 0;
  for (uint k = 0; k < 2; k++) {
    if (k < 1 + i / 32) v += x[i];
    threadgroup_barrier(mem_flags::mem_none);
  }
  y[i] = v;
}

kernel void divergent_sum(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                          uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  float v = x[i];
  if (lane < 7) v = simd_sum(v);
  y[i] = v;
}
kernel void divergent_sum_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                                uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  float v = x[i];
  float sum = simd_sum(lane < 7 ? v : 0);
  y[i] = lane < 7 ? sum : v;
}

kernel void divergent_quad(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                           uint i [[thread_position_in_threadgroup]]) {
  float v = x[i];
  if (i & 1) v = quad_shuffle_xor(v, 1);
  else v = quad_sum(v);
  y[i] = v;
}
// Votes are made for divergent flow.
kernel void divergent_quad_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                                 uint i [[thread_position_in_threadgroup]]) {
  float v = x[i];
  if (i & 1) v = simd_is_first() ? 1 : simd_any(v > 0) ? 2 : 3;
  y[i] = v;
}
