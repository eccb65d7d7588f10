// What attend_decode.metal and attend_prefill.metal share: one head of q or k on
// its way out of qkv.
//
//   n_i = h_i · w_i / sqrt(mean_j(h_j²) + eps)                (with a norm)
//   (r_i, r_{i+d/2}) = (n_i·cos − n_{i+d/2}·sin, n_{i+d/2}·cos + n_i·sin)
//
// for i < d/2, d = head_dim, with the position's row of the RoPE table: d/2
// cosines and then d/2 sines. A SIMD-group works on a head.

#include <metal_stdlib>
using namespace metal;

constant bool has_q_norm [[function_constant(0)]];
constant bool has_k_norm [[function_constant(1)]];

struct AttendArgs {
  uint query_heads;
  uint kv_heads;
  uint head_dim;
  uint position;  // of the first row: so many are cached
  uint rows;      // of the span
  uint capacity;  // positions from one head of the cache to the next
  uint splits;    // decode: threadgroups that share the keys of a head
  uint padded_rows;  // prefill: rows, rounded up to whole matrices
  uint padded_dim;   // prefill: head_dim, rounded up to whole matrices
  float q_eps;
  float k_eps;
};

// Below every score, and finite: exp(lowest − m) is 0 for any score m.
constexpr constant float lowest_score = -1e30f;

// 1/rms of a head.
inline float inverse_rms(device const float *head, uint n, float eps, uint lane) {
  float squares = 0;
  for (uint i = lane; i < n; i += 32)
    squares += head[i] * head[i];
  return rsqrt(simd_sum(squares) / n + eps);
}

// Elements i and i + half of a head, rotated.
inline float2 rotate(float2 pair, device const float *rope, uint i, uint half_dim) {
  const float c = rope[i], s = rope[half_dim + i];
  return float2(pair.x * c - pair.y * s, pair.y * c + pair.x * s);
}
