// Attention of one row to its sequence (decode), in one dispatch.
//
//   q, k  = rope(norm(query heads)), rope(norm(key heads)); k, v → cache
//   out_h = Σ_p softmax_p(q_h·k_p / sqrt(head_dim)) · v_p      for p ≤ position
//
//   shapes  qkv [query_heads + 2·kv_heads, head_dim], keys and values
//           [kv_heads, capacity, head_dim], out [query_heads, head_dim], all f32
//   grid    kv_heads × ceil(query heads of a kv head / HEADS) × splits
//           threadgroups of simdgroups·32 threads
//   memory  shared_floats (attend.go) floats of threadgroup memory
//
// A threadgroup takes the query heads of one kv head, so that a key and a value
// are read once for all of them, and splits them by key: lanes_per_key lanes,
// each with DIMS dimensions, hold a key, and every such slot runs its own online
// softmax (Milakov and Gimelshein 2018), all merged in the end. The new key and
// value are taken from threadgroup memory, as other threadgroups cannot see
// them in the cache yet.
//
// With splits, a threadgroup sees some of the keys and writes for each head its
// maximum m, its sum l and its unscaled output; attend_merge adds them up.

constant uint lanes_per_key [[function_constant(2)]];
constant bool wide_dims [[function_constant(3)]];  // four dimensions load as one vector
constant bool has_splits [[function_constant(4)]];

// Dimensions d … d + 4·N of a head of n, zero beyond its end.
template <uint N, typename P> void load_dims(P head, uint d, uint n, thread float4 *v) {
  for (uint i = 0; i < N; i++, d += 4)
    for (uint j = 0; j < 4; j++)
      v[i][j] = d + j < n ? head[d + j] : 0.0f;
}

template <uint N> void load_cached(device const float *head, uint d, uint n, thread float4 *v) {
  if (!wide_dims)
    return load_dims<N>(head, d, n, v);
  for (uint i = 0; i < N; i++, d += 4)
    v[i] = d < n ? *(device const float4 *)(head + d) : float4(0.0f);
}

template <uint DIMS, uint HEADS>
[[kernel]] void attend_decode(
    device float *out [[buffer(0)]],
    device const float *qkv [[buffer(1)]],
    device float *keys [[buffer(2)]],
    device float *values [[buffer(3)]],
    device const float *rope [[buffer(4)]],
    device const float *q_norm [[buffer(5), function_constant(has_q_norm)]],
    device const float *k_norm [[buffer(6), function_constant(has_k_norm)]],
    constant AttendArgs &args [[buffer(7)]],
    threadgroup float *shared [[threadgroup(0)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint3 threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint dim = args.head_dim, half_dim = dim / 2, position = args.position;
  threadgroup float *new_key = shared + HEADS * dim;
  threadgroup float *new_value = new_key + dim;
  threadgroup float *group_max = new_value + dim;
  threadgroup float *group_sum = group_max + HEADS * 32;
  threadgroup float *group_out = group_sum + HEADS * 32;

  const uint kv_head = group.x;
  const uint heads_per_kv = args.query_heads / args.kv_heads;
  const uint first_head = kv_head * heads_per_kv + group.y * HEADS;
  const uint heads = min(HEADS, heads_per_kv - group.y * HEADS);

  const uint keys_per_split = (position + args.splits) / args.splits;
  const uint begin = group.z * keys_per_split;
  const uint end = min(begin + keys_per_split, position + 1);
  const bool owns_new_key = begin <= position && position < end && group.y == 0;

  // Query heads, scaled, and the new key and value into threadgroup memory.
  device const float *angles = rope + ulong(position) * dim;
  keys += ulong(kv_head) * args.capacity * dim;
  values += ulong(kv_head) * args.capacity * dim;
  for (uint h = simdgroup; h <= HEADS; h += simdgroups) {
    if (h >= heads && h < HEADS) {
      for (uint i = lane; i < dim; i += 32)
        shared[h * dim + i] = 0;
      continue;
    }
    const bool is_key = h == HEADS;
    device const float *head = qkv + (is_key ? args.query_heads + kv_head : first_head + h) * dim;
    const bool normed = is_key ? has_k_norm : has_q_norm;
    float scale = is_key ? 1.0f : rsqrt(float(dim));
    if (normed)
      scale *= inverse_rms(head, dim, is_key ? args.k_eps : args.q_eps, lane);
    for (uint i = lane; i < half_dim; i += 32) {
      float2 pair = float2(head[i], head[i + half_dim]) * scale;
      if (has_k_norm && is_key)
        pair *= float2(k_norm[i], k_norm[i + half_dim]);
      if (has_q_norm && !is_key)
        pair *= float2(q_norm[i], q_norm[i + half_dim]);
      pair = rotate(pair, angles, i, half_dim);
      shared[h * dim + i] = pair.x;
      shared[h * dim + i + half_dim] = pair.y;
      if (is_key && owns_new_key) {
        keys[ulong(position) * dim + i] = pair.x;
        keys[ulong(position) * dim + i + half_dim] = pair.y;
      }
    }
  }
  for (uint i = thread_index; i < dim; i += threads.x) {
    const float v = qkv[(args.query_heads + args.kv_heads + kv_head) * dim + i];
    new_value[i] = v;
    if (owns_new_key)
      values[ulong(position) * dim + i] = v;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  // Online softmax of this lane's slot over its keys.
  const uint slots = simdgroups * (32 / lanes_per_key);
  const uint slot = simdgroup * (32 / lanes_per_key) + lane / lanes_per_key;
  const uint d = lane % lanes_per_key * DIMS;
  float4 q[HEADS][DIMS / 4], sum_v[HEADS][DIMS / 4];
  float maximum[HEADS], sum[HEADS];
  for (uint h = 0; h < HEADS; h++) {
    load_dims<DIMS / 4>(shared + h * dim, d, dim, q[h]);
    maximum[h] = lowest_score;
    sum[h] = 0;
    for (uint i = 0; i < DIMS / 4; i++)
      sum_v[h][i] = 0;
  }
  for (uint first = begin; first < end; first += slots) {
    const uint p = first + slot;
    const bool inside = p < end;
    float4 k[DIMS / 4] = {}, v[DIMS / 4] = {};
    if (inside && p == position) {
      load_dims<DIMS / 4>(new_key, d, dim, k);
      load_dims<DIMS / 4>(new_value, d, dim, v);
    } else if (inside) {
      load_cached<DIMS / 4>(keys + ulong(p) * dim, d, dim, k);
      load_cached<DIMS / 4>(values + ulong(p) * dim, d, dim, v);
    }
    for (uint h = 0; h < HEADS; h++) {
      float score = 0;
      for (uint i = 0; i < DIMS / 4; i++)
        score += dot(q[h][i], k[i]);
      for (ushort offset = lanes_per_key / 2; offset > 0; offset /= 2)
        score += simd_shuffle_xor(score, offset);
      const float m = inside ? max(maximum[h], score) : maximum[h];
      const float fade = exp(maximum[h] - m);
      const float weight = inside ? exp(score - m) : 0.0f;
      maximum[h] = m;
      sum[h] = sum[h] * fade + weight;
      for (uint i = 0; i < DIMS / 4; i++)
        sum_v[h][i] = sum_v[h][i] * fade + weight * v[i];
    }
  }

  // Slots of the SIMD-group, then SIMD-groups of the threadgroup.
  for (uint h = 0; h < HEADS; h++) {
    float m = maximum[h];
    for (ushort offset = lanes_per_key; offset < 32; offset *= 2)
      m = max(m, simd_shuffle_xor(m, offset));
    const float fade = exp(maximum[h] - m);
    maximum[h] = m;
    sum[h] *= fade;
    for (ushort offset = lanes_per_key; offset < 32; offset *= 2)
      sum[h] += simd_shuffle_xor(sum[h], offset);
    for (uint i = 0; i < DIMS / 4; i++) {
      sum_v[h][i] *= fade;
      for (ushort offset = lanes_per_key; offset < 32; offset *= 2)
        sum_v[h][i] += simd_shuffle_xor(sum_v[h][i], offset);
    }
    if (lane == 0) {
      group_max[h * 32 + simdgroup] = m;
      group_sum[h * 32 + simdgroup] = sum[h];
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint h = 0; h < heads; h++) {
    const float m = simd_max(lane < simdgroups ? group_max[h * 32 + lane] : lowest_score);
    const float part = lane < simdgroups ? group_sum[h * 32 + lane] * exp(group_max[h * 32 + lane] - m) : 0.0f;
    const float total = simd_sum(part);
    const float fade = exp(group_max[h * 32 + simdgroup] - m);
    if (lane < lanes_per_key)
      for (uint i = 0; i < DIMS; i++)
        if (d + i < dim)
          group_out[simdgroup * dim + d + i] = sum_v[h][i / 4][i % 4] * fade;
    threadgroup_barrier(mem_flags::mem_threadgroup);

    device float *result = out + (first_head + h) * dim;
    if (has_splits) {
      result = out + ((first_head + h) * args.splits + group.z) * (dim + 2);
      if (thread_index == 0) {
        result[dim] = m;
        result[dim + 1] = total;
      }
    }
    for (uint i = thread_index; i < dim; i += threads.x) {
      float v = 0;
      for (uint g = 0; g < simdgroups; g++)
        v += group_out[g * dim + i];
      result[i] = has_splits ? v : v / total;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// out_h = Σ_s e^(m_s − m)·part_s / Σ_s e^(m_s − m)·l_s, m = max_s m_s, over the
// splits' parts [query_heads, splits, head_dim + 2]; a threadgroup for each head.
[[kernel]] void attend_merge(
    device float *out [[buffer(0)]],
    device const float *parts [[buffer(1)]],
    constant AttendArgs &args [[buffer(2)]],
    uint head [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]) {
  const uint dim = args.head_dim, pitch = dim + 2;
  parts += ulong(head) * args.splits * pitch;
  float m = lowest_score, total = 0;
  for (uint s = 0; s < args.splits; s++)
    m = max(m, parts[s * pitch + dim]);
  for (uint s = 0; s < args.splits; s++)
    total += exp(parts[s * pitch + dim] - m) * parts[s * pitch + dim + 1];
  for (uint i = thread_index; i < dim; i += threads) {
    float v = 0;
    for (uint s = 0; s < args.splits; s++)
      v += exp(parts[s * pitch + dim] - m) * parts[s * pitch + i];
    out[head * dim + i] = v / total;
  }
}

// Heads of up to 256 dimensions, and longer ones of up to 1,024.
template [[host_name("attend_decode_8")]] [[kernel]] decltype(attend_decode<8, 4>) attend_decode<8, 4>;
template [[host_name("attend_decode_32")]] [[kernel]] decltype(attend_decode<32, 1>) attend_decode<32, 1>;
