// Attention of up to a few rows to their sequence (decode).
//
//   q, k  = rope(norm(query heads)), rope(norm(key heads)); k, v → cache
//   out_h = Σ_p softmax_p(q_h·k_p / sqrt(head_dim)) · v_p      for p ≤ position
//
//   shapes  qkv [query_heads + 2·kv_heads, head_dim], keys and values
//           [kv_heads, capacity, head_dim] f32 or f16, out [rows, query_heads,
//           head_dim] f32
//   grid    kv_heads × ceil(query heads of a kv head / HEADS) × rows·splits
//           threadgroups of simdgroups·32 threads
//   memory  shared_floats (attend_decode.go) floats of threadgroup memory
//
// A single row (fused) is all of this in one dispatch: the new key and value are
// taken from threadgroup memory, as other threadgroups cannot see them in the
// cache yet. Of several rows, attend_prepare has written keys and values to the
// cache and queries to scratch, [query_heads, rows, head_dim].
//
// A threadgroup takes the query heads of one kv head, so that a key and a value
// are read once for all of them, and splits them by key: lanes_per_key lanes,
// each with DIMS dimensions, hold a key, and every such slot runs its own online
// softmax (Milakov and Gimelshein 2018), all merged in the end.
//
// With splits, a threadgroup sees some of the keys and writes for each head its
// maximum m, its sum l and its unscaled output; attend_merge adds them up.
//
// How the keys of a row are divided depends on its position and nothing else
// (exactness, see kernels.ExactRows).

constant uint lanes_per_key [[function_constant(4)]];
constant bool has_splits [[function_constant(5)]];
constant bool fused [[function_constant(6)]];

constexpr constant uint simdgroups = 4;
// So many keys are one threadgroup's; more are divided into splits of split_keys.
constexpr constant uint unsplit_keys = 128;
constexpr constant uint split_keys = 64;

inline uint keys_per_split(uint position) { return position < unsplit_keys ? unsplit_keys : split_keys; }

// Dimensions d … d + 4·N of a head of n, zero beyond its end.
template <uint N, typename P> void load_dims(P head, uint d, uint n, thread float4 *v) {
  UNROLL for (uint i = 0; i < N; i++)
    UNROLL for (uint j = 0; j < 4; j++)
      v[i][j] = d + 4 * i + j < n ? head[d + 4 * i + j] : 0.0f;
}

template <uint N> void load_cached(device const uchar *cache, ulong head, uint d, uint n, thread float4 *v) {
  UNROLL for (uint i = 0; i < N; i++)
    if (wide_dims)
      v[i] = d + 4 * i < n ? four_cached(cache, head + d + 4 * i) : float4(0.0f);
    else
      UNROLL for (uint j = 0; j < 4; j++)
        v[i][j] = d + 4 * i + j < n ? cached(cache, head + d + 4 * i + j) : 0.0f;
}

template <uint DIMS, uint HEADS>
[[kernel]] void attend_decode(
    device float *out [[buffer(0)]],
    device const float *qkv [[buffer(1)]],  // or, unless fused, queries
    device uchar *keys [[buffer(2)]],
    device uchar *values [[buffer(3)]],
    device const float *rope [[buffer(4), function_constant(fused)]],
    device const float *q_norm [[buffer(5), function_constant(has_q_norm)]],
    device const float *k_norm [[buffer(6), function_constant(has_k_norm)]],
    constant AttendArgs &args [[buffer(7)]],
    threadgroup float *shared [[threadgroup(0)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  const uint dim = args.head_dim, half_dim = dim / 2;
  threadgroup float *group_max = shared;
  threadgroup float *group_sum = group_max + HEADS * simdgroups;
  threadgroup float *group_out = group_sum + HEADS * simdgroups;
  threadgroup float *queries = group_out + HEADS * simdgroups * dim;
  threadgroup float *new_key = queries + HEADS * dim;
  threadgroup float *new_value = new_key + dim;

  const uint kv_head = group.x, row = group.z / args.splits, split = group.z % args.splits;
  const uint heads_per_kv = args.query_heads / args.kv_heads;
  const uint first_head = kv_head * heads_per_kv + group.y * HEADS;
  const uint heads = min(HEADS, heads_per_kv - group.y * HEADS);

  const uint position = args.position + row;
  const uint begin = split * keys_per_split(position);
  const uint end = min(begin + keys_per_split(position), position + 1);
  if (begin > position)
    return;  // the span's other rows have more splits

  const ulong cache = ulong(kv_head) * args.capacity * dim;
  if (fused) {
    // Query heads, scaled, and the new key and value into threadgroup memory.
    const bool owns_new_key = position < end && group.y == 0;
    const ulong new_row = cache + ulong(position) * dim;
    device const float *angles = rope + ulong(position) * dim;
    for (uint h = simdgroup; h <= heads; h += simdgroups) {
      const bool is_query = h < heads;
      device const float *head = qkv + (is_query ? first_head + h : args.query_heads + kv_head) * dim;
      const float scale = head_scale(args, head, is_query, lane);
      for (uint i = lane; i < half_dim; i += 32) {
        if (is_query) {
          const float2 pair = head_pair(head, has_q_norm ? q_norm : nullptr, has_q_norm, angles, i, half_dim, scale);
          queries[h * dim + i] = pair.x;
          queries[h * dim + i + half_dim] = pair.y;
        } else {
          const float2 pair = head_pair(head, has_k_norm ? k_norm : nullptr, has_k_norm, angles, i, half_dim, scale);
          new_key[i] = as_cached(pair.x);
          new_key[i + half_dim] = as_cached(pair.y);
          if (owns_new_key) {
            store_cached(keys, new_row + i, pair.x);
            store_cached(keys, new_row + i + half_dim, pair.y);
          }
        }
      }
    }
    for (uint i = thread_index; i < dim; i += 32 * simdgroups) {
      const float v = qkv[(args.query_heads + args.kv_heads + kv_head) * dim + i];
      new_value[i] = as_cached(v);
      if (owns_new_key)
        store_cached(values, new_row + i, v);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  // Online softmax of this lane's slot over its keys.
  const uint slots = simdgroups * (32 / lanes_per_key);
  const uint slot = simdgroup * (32 / lanes_per_key) + lane / lanes_per_key;
  const uint d = lane % lanes_per_key * DIMS;
  float4 q[HEADS][DIMS / 4], sum_v[HEADS][DIMS / 4];
  float maximum[HEADS], sum[HEADS];
  UNROLL for (uint h = 0; h < HEADS; h++) {
    const uint n = h < heads ? dim : 0;
    if (fused)
      load_dims<DIMS / 4>(queries + h * dim, d, n, q[h]);
    else
      load_dims<DIMS / 4>(qkv + (ulong(first_head + h) * args.rows + row) * dim, d, n, q[h]);
    maximum[h] = lowest_score;
    sum[h] = 0;
    UNROLL for (uint i = 0; i < DIMS / 4; i++)
      sum_v[h][i] = 0;
  }
  for (uint first = begin; first < end; first += slots) {
    const uint p = first + slot;
    const bool inside = p < end;
    float4 k[DIMS / 4] = {}, v[DIMS / 4] = {};
    if (fused && inside && p == position) {
      load_dims<DIMS / 4>(new_key, d, dim, k);
      load_dims<DIMS / 4>(new_value, d, dim, v);
    } else if (inside) {
      load_cached<DIMS / 4>(keys, cache + ulong(p) * dim, d, dim, k);
      load_cached<DIMS / 4>(values, cache + ulong(p) * dim, d, dim, v);
    }
    UNROLL for (uint h = 0; h < HEADS; h++) {
      float score = 0;
      UNROLL for (uint i = 0; i < DIMS / 4; i++)
        score = dot_add(q[h][i], k[i], score);
      for (ushort offset = lanes_per_key / 2; offset > 0; offset /= 2)
        score += simd_shuffle_xor(score, offset);
      const float m = inside ? max(maximum[h], score) : maximum[h];
      const float fade = exp(maximum[h] - m);
      const float weight = inside ? exp(score - m) : 0.0f;
      maximum[h] = m;
      sum[h] = fma(sum[h], fade, weight);
      UNROLL for (uint i = 0; i < DIMS / 4; i++)
        sum_v[h][i] = fma(float4(weight), v[i], sum_v[h][i] * fade);
    }
  }

  // Slots of the SIMD-group, then SIMD-groups of the threadgroup.
  UNROLL for (uint h = 0; h < HEADS; h++) {
    float m = maximum[h];
    for (ushort offset = lanes_per_key; offset < 32; offset *= 2)
      m = max(m, simd_shuffle_xor(m, offset));
    const float fade = exp(maximum[h] - m);
    sum[h] *= fade;
    for (ushort offset = lanes_per_key; offset < 32; offset *= 2)
      sum[h] += simd_shuffle_xor(sum[h], offset);
    UNROLL for (uint i = 0; i < DIMS / 4; i++) {
      sum_v[h][i] *= fade;
      for (ushort offset = lanes_per_key; offset < 32; offset *= 2)
        sum_v[h][i] += simd_shuffle_xor(sum_v[h][i], offset);
    }
    if (lane == 0) {
      group_max[h * simdgroups + simdgroup] = m;
      group_sum[h * simdgroups + simdgroup] = sum[h];
    }
    if (lane < lanes_per_key)
      UNROLL for (uint i = 0; i < DIMS; i++)
        if (d + i < dim)
          group_out[(h * simdgroups + simdgroup) * dim + d + i] = sum_v[h][i / 4][i % 4];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < heads * dim; i += 32 * simdgroups) {
    const uint h = i / dim, e = i % dim;
    float m = lowest_score, total = 0, v = 0;
    UNROLL for (uint g = 0; g < simdgroups; g++)
      m = max(m, group_max[h * simdgroups + g]);
    UNROLL for (uint g = 0; g < simdgroups; g++) {
      const float fade = exp(group_max[h * simdgroups + g] - m);
      total = fma(fade, group_sum[h * simdgroups + g], total);
      v = fma(fade, group_out[(h * simdgroups + g) * dim + e], v);
    }
    const ulong to = ulong(row) * args.query_heads + first_head + h;
    if (!has_splits) {
      out[to * dim + e] = v / total;
      continue;
    }
    device float *part = out + (to * args.splits + split) * (dim + 2);
    part[e] = v;
    if (e == 0) {
      part[dim] = m;
      part[dim + 1] = total;
    }
  }
}

// out_h = Σ_s e^(m_s − m)·part_s / Σ_s e^(m_s − m)·l_s, m = max_s m_s, over the
// splits' parts [rows, query_heads, splits, head_dim + 2].
//
//   grid    query_heads × rows threadgroups
[[kernel]] void attend_merge(
    device float *out [[buffer(0)]],
    device const float *parts [[buffer(1)]],
    constant AttendArgs &args [[buffer(2)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint2 threads [[threads_per_threadgroup]]) {
  const uint dim = args.head_dim, pitch = dim + 2, position = args.position + group.y;
  const uint splits = position / keys_per_split(position) + 1;
  const ulong head = ulong(group.y) * args.query_heads + group.x;
  parts += head * args.splits * pitch;
  float m = lowest_score, total = 0;
  for (uint s = 0; s < splits; s++)
    m = max(m, parts[s * pitch + dim]);
  for (uint s = 0; s < splits; s++)
    total = fma(exp(parts[s * pitch + dim] - m), parts[s * pitch + dim + 1], total);
  for (uint i = thread_index; i < dim; i += threads.x) {
    float v = 0;
    for (uint s = 0; s < splits; s++)
      v = fma(exp(parts[s * pitch + dim] - m), parts[s * pitch + i], v);
    out[head * dim + i] = v / total;
  }
}

// Heads of up to 256 dimensions, and longer ones of up to 1,024.
template [[host_name("attend_decode_8")]] [[kernel]] decltype(attend_decode<8, 4>) attend_decode<8, 4>;
template [[host_name("attend_decode_32")]] [[kernel]] decltype(attend_decode<32, 1>) attend_decode<32, 1>;
