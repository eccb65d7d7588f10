#include <metal_stdlib>
using namespace metal;

// out[i] = OR of the words of x that thread i reads: neighbours read neighbours.
kernel void read_memory(device const uint4* x [[buffer(0)]], device uint* out [[buffer(1)]], constant uint& words [[buffer(2)]],
                        uint i [[thread_position_in_grid]], uint threads [[threads_per_grid]]) {
  uint4 s = 0;
  for (uint j = i; j < words; j += threads) {
    s |= x[j];
  }
  out[i] = s.x | s.y | s.z | s.w;
}

// turns × 32 multiply-adds in eight independent sums a thread.
kernel void multiply_add(device float* out [[buffer(1)]], constant uint& turns [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  float4 m = float4(0.5f) + float(i & 3) * 0.125f, c = float4(1.0f);
  float4 a0 = 0, a1 = 1, a2 = 2, a3 = 3, a4 = 4, a5 = 5, a6 = 6, a7 = 7;
  for (uint t = 0; t < turns; t++) {
    a0 = fma(a0, m, c);
    a1 = fma(a1, m, c);
    a2 = fma(a2, m, c);
    a3 = fma(a3, m, c);
    a4 = fma(a4, m, c);
    a5 = fma(a5, m, c);
    a6 = fma(a6, m, c);
    a7 = fma(a7, m, c);
  }
  float4 s = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7));
  out[i] = (s.x + s.y) + (s.z + s.w);
}
