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

kernel void matrix(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  simdgroup_float8x8 a, b;
  simdgroup_load(a, x, 8);
  simdgroup_multiply_accumulate(b, a, a, b);
  if (i < 32) simdgroup_store(b, y, 8);
}
kernel void matrix_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  simdgroup_float8x8 a, b = make_filled_simdgroup_matrix<float, 8, 8>(0);
  simdgroup_load(a, x, 8);
  simdgroup_multiply_accumulate(b, a, a, b);
  if (i < 32) simdgroup_store(b, y, 8);
}

kernel void variable(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float sum;
  for (uint k = 0; k < i; k++) sum += x[k];
  y[i] = sum;
}
// One that is written on every path that reads it, and a vector of which each element is.
kernel void variable_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float sum;
  for (uint k = 0; k <= i; k++) {
    if (k == 0) sum = 0;
    else sum += x[k - 1];
  }
  float4 v;
  for (uint k = 0; k < 4; k++) v[(k + i) & 3] = sum;
  y[i] = v.x + v.w;
}

kernel void array(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a[8];
  for (uint k = 0; k < (i & 7); k++) a[k] = x[k];
  y[i] = a[i & 7];
}
kernel void array_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a[8];
  for (uint k = 0; k <= (i & 7); k++) a[k] = x[k];
  y[i] = a[i & 7];
}

// As an index it is a number that no array has.
kernel void chosen(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  uint k;
  if (i > 2) k = i;
  y[i] = x[k];
}
kernel void chosen_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  uint k;
  if (i > 2) k = i;
  y[i] = i > 2 ? x[k] : 0;
}

// Through a shuffle, whose garbage is no mistake as long as nobody takes it.
kernel void shuffled(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float v;
  if (i & 16) v = x[i];
  y[i] = simd_shuffle(v, (i & 31) ^ 16);
}
kernel void shuffled_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float v;
  if (i & 16) v = x[i];
  y[i] = simd_shuffle(v, (i & 31) | 16);
}

kernel void wrapped_index(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  uint stride = 65536, at = (stride + i) * stride;
  at = (i & 1) ? 0 : at + i;
  y[i] = x[i == 0 ? at : i];
}
// A product may wrap if it is a hash, or is not used.
kernel void wrapped_index_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  uint row = 65536 + i, unused = row * 65536, before = (i - 1) * 64 + 64;
  ulong at = ulong(row) * 65536 + i;
  y[i] = i > 63 ? x[unused] : x[at % 64] + x[(i * 2654435761u) >> 26] + x[(i * 2654435761u) % 61] + x[before / 64];
}

kernel void not_a_number(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  half a = 0;
  for (uint k = 0; k < 8; k++) a += half(x[k] + 300.0f) * half(300.0f);
  y[i] = float(a - a);
}
kernel void not_a_number_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a = 0;
  for (uint k = 0; k < 8; k++) a += float(half(x[k] + 300.0f)) * 300.0f;
  y[i] = a - a;
}

kernel void pointer_past(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a[4] = {x[0], x[1], x[2], x[3]};
  thread float *p = a + 1;
  y[i] = p[i & 3];
}
kernel void pointer_past_fixed(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], uint i [[thread_position_in_threadgroup]]) {
  float a[4] = {x[0], x[1], x[2], x[3]}, sum = 0;
  thread float *p = a + 1;
  for (thread float *q = a; q < a + 4; q++) sum += *q;
  y[i] = p[int(i & 3) - 1] + sum + float(p - a);
}
