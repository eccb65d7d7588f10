// What the attention kernels share: heads on their way out of qkv, and the cache.
//
//   n_i = h_i · w_i / sqrt(mean_j(h_j²) + eps)                (with a norm)
//   (r_i, r_{i+d/2}) = (n_i·cos − n_{i+d/2}·sin, n_{i+d/2}·cos + n_i·sin)
//
// for i < d/2, d = head_dim, with the position's row of the RoPE table: d/2
// cosines and then d/2 sines. A SIMD-group works on a head.

constant bool has_q_norm [[function_constant(0)]];
constant bool has_k_norm [[function_constant(1)]];
constant bool half_cache [[function_constant(2)]];  // keys and values are float16, else float32
constant bool wide_dims [[function_constant(3)]];   // head_dim is a multiple of four

struct AttendArgs {
  uint query_heads;
  uint kv_heads;
  uint head_dim;
  uint position;     // of the first row: so many are cached
  uint rows;         // of the span
  uint capacity;     // positions from one head of the cache to the next
  uint splits;       // decode: threadgroups that share the keys of a head, at most
  uint padded_rows;  // of scratch
  uint padded_dim;   // of scratch
  float q_eps;
  float k_eps;
};

// Below every score, and finite: exp(lowest − m) is 0 for any score m.
constexpr constant float lowest_score = -1e30f;

// An element of the cache, and four from a multiple of four on.
inline float cached(device const uchar *p, ulong i) {
  return half_cache ? float(((device const half *)p)[i]) : ((device const float *)p)[i];
}

inline float4 four_cached(device const uchar *p, ulong i) {
  if (half_cache)
    return float4(half4(*(device const packed_half4 *)(p + 2 * i)));
  return float4(*(device const packed_float4 *)(p + 4 * i));
}

// v as the cache holds it.
inline float as_cached(float v) { return half_cache ? float(half(v)) : v; }

inline void store_cached(device uchar *p, ulong i, float v) {
  if (half_cache)
    ((device half *)p)[i] = half(v);
  else
    ((device float *)p)[i] = v;
}

// 1/rms of a head.
inline float inverse_rms(device const float *head, uint n, float eps, uint lane) {
  float squares = 0;
  for (uint i = lane; i < n; i += 32)
    squares = fma(head[i], head[i], squares);
  return rsqrt(simd_sum(squares) / n + eps);
}

// A query or key head: what its elements are multiplied by, and elements i and
// i + head_dim/2 normalised and rotated.
inline float head_scale(constant AttendArgs &args, device const float *head, bool is_query, uint lane) {
  const float scale = is_query ? rsqrt(float(args.head_dim)) : 1.0f;
  if (is_query ? has_q_norm : has_k_norm)
    return scale * inverse_rms(head, args.head_dim, is_query ? args.q_eps : args.k_eps, lane);
  return scale;
}

inline float2 head_pair(device const float *head, device const float *norm, bool normed, device const float *rope,
                        uint i, uint half_dim, float scale) {
  float2 pair = float2(head[i], head[i + half_dim]) * scale;
  if (normed)
    pair *= float2(norm[i], norm[i + half_dim]);
  const float c = rope[i], s = rope[half_dim + i];
  return float2(fma(pair.x, c, -(pair.y * s)), fma(pair.y, c, pair.x * s));
}
