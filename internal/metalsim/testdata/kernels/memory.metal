// Accesses to the wrong memory.
#include <metal_stdlib>
using namespace metal;

kernel void read_past(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i + 1];
}
kernel void read_past_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]],
                            uint n [[threads_per_threadgroup]]) {
  y[i] = x[min(i + 1, n - 1)];
}

kernel void read_before(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[int(i) - 1];
}
kernel void read_before_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[max(int(i) - 1, 0)];
}

kernel void write_past(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i + 1] = x[i];
}
kernel void write_past_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i];
}

// One vector load that starts inside and ends outside.
kernel void vector_past(device const packed_float4 *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = ((device const packed_float4 *)((device const float *)x + i))->w;
}
kernel void vector_past_fixed(device const packed_float4 *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i / 4].w;
}

// A struct copied by value.
struct Block { float d; float q[5]; };
kernel void struct_past(device const Block *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  Block b = x[i / 4];
  y[i] = b.d + b.q[i % 5];
}
kernel void struct_past_fixed(device const Block *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  Block b = x[i / 8];
  y[i] = b.d + b.q[i % 5];
}

kernel void threadgroup_past(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], threadgroup float *s [[threadgroup(0)]],
                             uint i [[thread_position_in_threadgroup]]) {
  s[i + 1] = x[i];
  y[i] = 0;
}
kernel void threadgroup_past_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], threadgroup float *s [[threadgroup(0)]],
                                   uint i [[thread_position_in_threadgroup]]) {
  s[i] = x[i];
  y[i] = 0;
}

kernel void array_past(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a[4] = {0, 0, 0, 0};
  for (uint k = 0; k <= i % 5; k++) a[k] = x[k];
  y[i] = a[i & 3];
}
kernel void array_past_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a[5] = {0, 0, 0, 0, 0};
  for (uint k = 0; k <= i % 5; k++) a[k] = x[k];
  y[i] = a[i & 3];
}

kernel void uninitialised(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  if (i < 32) s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[i];
}
kernel void uninitialised_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  threadgroup float s[64];
  if (i < 32) s[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  y[i] = s[i & 31];
}

kernel void misaligned(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = ((device const float4 *)(x + 1))[0].x;
}
kernel void misaligned_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = ((device const packed_float4 *)(x + 1))[0].x;
}

kernel void constant_write(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i];
  if (i == 0) ((device float *)x)[0] = 1;
}
kernel void constant_write_fixed(device float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i];
  if (i == 0) x[0] = 1;
}

kernel void unbound(device const float *x [[buffer(9)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x[i];
}
kernel void unbound_fixed(device const float *x [[buffer(9)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = x ? x[i] : 0;
}

kernel void division(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = 7u / i;
}
kernel void division_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  y[i] = 7u / (i + 1);
}
