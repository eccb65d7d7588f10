// Each kernel makes one mistake; its twin with the suffix _fixed does not. The test names the violation.
#include <metal_stdlib>
using namespace metal;

kernel void missing_barrier(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                            uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  threadgroup float s[64];
  s[i] = 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  s[i] = x[i];
  y[i] = s[n - 1 - i];
}
kernel void missing_barrier_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                                  uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  threadgroup float s[64];
  s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[n - 1 - i];
}

kernel void wrong_flags(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                        uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  threadgroup float s[64];
  s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = s[n - 1 - i];
}
kernel void wrong_flags_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                              uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  threadgroup float s[64];
  s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  y[i] = s[n - 1 - i];
}

// Device memory written and read by the threads of one threadgroup.
kernel void wrong_device_flags(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                               uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  y[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float v = y[n - 1 - i];
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = v;
}
kernel void wrong_device_flags_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                                     uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {
  y[i] = x[i];
  threadgroup_barrier(mem_flags::mem_device);
  float v = y[n - 1 - i];
  threadgroup_barrier(mem_flags::mem_device);
  y[i] = v;
}

// The loop comes round and overwrites what slow threads still read.
kernel void second_round(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                         uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                         uint group [[simdgroup_index_in_threadgroup]], uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup float s[32];
  for (uint round = 0; round < 2; round++) {
    float v = simd_sum(x[i] + round);
    if (lane == 0) s[group] = v;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0;
    for (uint k = 0; k < groups; k++) total += s[k];
    y[i] = total;
  }
}
kernel void second_round_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                               uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                               uint group [[simdgroup_index_in_threadgroup]], uint groups [[simdgroups_per_threadgroup]]) {
  threadgroup float s[32];
  for (uint round = 0; round < 2; round++) {
    float v = simd_sum(x[i] + round);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (lane == 0) s[group] = v;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0;
    for (uint k = 0; k < groups; k++) total += s[k];
    y[i] = total;
  }
}

kernel void lanes(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  s[i] = 0;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  s[i] = x[i];
  y[i] = s[i ^ 1];
}
kernel void lanes_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                        uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  s[i] = x[i];
  simdgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[i ^ 1];
}

// Many lanes read what one lane then writes: the conflict is with any of them.
kernel void many_readers(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                         uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[1];
  if (i == 0) s[0] = x[0];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[0];
  if (i == 5) s[0] = 1;
}
kernel void many_readers_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                               uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[1];
  if (i == 0) s[0] = x[0];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[0];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i == 5) s[0] = 1;
}

kernel void threadgroups(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                         uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i];
}
kernel void threadgroups_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                               uint i [[thread_position_in_grid]]) {
  y[i] = x[i];
}

kernel void not_atomic(device uint *count [[buffer(2)]], uint i [[thread_position_in_grid]]) { count[0] += i; }
kernel void not_atomic_fixed(device atomic_uint *count [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  atomic_fetch_add_explicit(count, i, memory_order_relaxed);
}

// A plain read beside atomic writes.
kernel void half_atomic(device atomic_uint *count [[buffer(2)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  atomic_fetch_add_explicit(count, i, memory_order_relaxed);
  y[i] = ((device uint *)count)[0];
}
kernel void half_atomic_fixed(device atomic_uint *count [[buffer(2)]], device float *y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  atomic_fetch_add_explicit(count, i, memory_order_relaxed);
  y[i] = atomic_load_explicit(count, memory_order_relaxed);
}
