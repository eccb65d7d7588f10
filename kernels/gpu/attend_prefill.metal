// Attention of many rows of one sequence (prefill), in two dispatches; the
// scores never leave the threadgroup (Dao et al. 2022).
//
//   attend_prepare   q = rope(norm(query heads)) / sqrt(head_dim) → scratch
//                    k = rope(norm(key heads)), v → cache
//   attend_prefill   out_{r,h} = Σ_p softmax_p(q_{r,h}·k_p) · v_p
//                    for p ≤ position + r
//
//   shapes  qkv [rows, query_heads + 2·kv_heads, head_dim], keys and values
//           [kv_heads, capacity, head_dim], scratch [query_heads, padded_rows,
//           padded_dim], out [rows, query_heads, head_dim]; all f32, keys and
//           values f32 or f16

// A head of one row for each SIMD-group. Rows and dimensions that only pad are
// set to zero: matrix products would spread what they held.
//
//   grid  query_heads + 2·kv_heads × ceil(padded_rows / simdgroups) threadgroups
[[kernel]] void attend_prepare(
    device float *scratch [[buffer(0)]],
    device const float *qkv [[buffer(1)]],
    device uchar *keys [[buffer(2)]],
    device uchar *values [[buffer(3)]],
    device const float *rope [[buffer(4)]],
    device const float *q_norm [[buffer(5), function_constant(has_q_norm)]],
    device const float *k_norm [[buffer(6), function_constant(has_k_norm)]],
    constant AttendArgs &args [[buffer(7)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint dim = args.head_dim, half_dim = dim / 2, padded = args.padded_dim;
  const uint head = group.x, row = group.y * simdgroups + simdgroup;
  const bool is_query = head < args.query_heads;
  if (row >= (is_query ? args.padded_rows : args.rows))
    return;
  if (row >= args.rows) {
    for (uint i = lane; i < padded; i += 32)
      scratch[(ulong(head) * args.padded_rows + row) * padded + i] = 0;
    return;
  }

  device const float *in = qkv + (ulong(row) * (args.query_heads + 2 * args.kv_heads) + head) * dim;
  const uint position = args.position + row;
  device const float *angles = rope + ulong(position) * dim;
  if (is_query) {
    device float *query = scratch + (ulong(head) * args.padded_rows + row) * padded;
    const float scale = head_scale(args, in, true, lane);
    for (uint i = lane; i < half_dim; i += 32) {
      const float2 pair = head_pair(in, has_q_norm ? q_norm : nullptr, has_q_norm, angles, i, half_dim, scale);
      query[i] = pair.x;
      query[i + half_dim] = pair.y;
    }
    for (uint i = dim + lane; i < padded; i += 32)
      query[i] = 0;
    return;
  }

  const uint kv_head = (head - args.query_heads) % args.kv_heads;
  const ulong new_row = (ulong(kv_head) * args.capacity + position) * dim;
  if (head >= args.query_heads + args.kv_heads) {
    for (uint i = lane; i < dim; i += 32)
      store_cached(values, new_row + i, in[i]);
    return;
  }
  const float scale = head_scale(args, in, false, lane);
  for (uint i = lane; i < half_dim; i += 32) {
    const float2 pair = head_pair(in, has_k_norm ? k_norm : nullptr, has_k_norm, angles, i, half_dim, scale);
    store_cached(keys, new_row + i, pair.x);
    store_cached(keys, new_row + i + half_dim, pair.y);
  }
}

// Online softmax over blocks of BLOCK keys for tiles of eight rows, one for
// each of four SIMD-groups. The tiles of the query heads of one kv head are
// numbered row by row, so that the four of a threadgroup share their keys and
// reach about equally far.
//
//   grid    kv_heads × ceil(tiles of a kv head / 4) threadgroups of 128 threads,
//           tiles = query heads of a kv head · padded_rows/8
//   DIMS    8×8 matrices that span padded_dim
constexpr constant uint tile_rows = 8;
constexpr constant uint tiles_per_group = 4;
constexpr constant uint block_padding = 4;  // spreads the rows of a block over the banks

// Keys or values first … first + BLOCK, zeros beyond count and beyond dim.
template <uint DIMS, uint BLOCK>
void load_block(device const uchar *from, ulong cache, uint first, uint count, uint dim, uint thread_index,
                threadgroup float *block) {
  for (uint i = thread_index; i < BLOCK * 2 * DIMS; i += 32 * tiles_per_group) {
    const uint p = i / (2 * DIMS), d = i % (2 * DIMS) * 4;
    const ulong at = cache + ulong(first + p) * dim + d;
    float4 v = 0;
    if (wide_dims) {
      if (first + p < count && d < dim)
        v = four_cached(from, at);
    } else {
      for (uint j = 0; j < 4; j++)
        if (first + p < count && d + j < dim)
          v[j] = cached(from, at + j);
    }
    *(threadgroup float4 *)(block + p * (8 * DIMS + block_padding) + d) = v;
  }
}

template <uint DIMS, uint BLOCK>
[[kernel]] void attend_prefill(
    device float *out [[buffer(0)]],
    device const float *queries [[buffer(1)]],
    device const uchar *keys [[buffer(2)]],
    device const uchar *values [[buffer(3)]],
    constant AttendArgs &args [[buffer(4)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  constexpr uint pitch = 8 * DIMS + block_padding;
  constexpr uint score_pitch = BLOCK + 4;
  constexpr uint keys_per_lane = BLOCK / 4;  // four lanes share a row of scores
  threadgroup float block[BLOCK * pitch];    // of keys, then of values
  threadgroup float all_scores[tiles_per_group * tile_rows * score_pitch];
  threadgroup float all_diagonals[tiles_per_group * 64];
  threadgroup float *scores = all_scores + simdgroup * tile_rows * score_pitch;
  threadgroup float *diagonal = all_diagonals + simdgroup * 64;

  const uint dim = args.head_dim, kv_head = group.x;
  const uint heads_per_kv = args.query_heads / args.kv_heads;
  const uint tiles = heads_per_kv * (args.padded_rows / tile_rows);
  const uint last_tile = min(group.y * tiles_per_group + tiles_per_group, tiles) - 1;
  const uint tile = min(group.y * tiles_per_group + simdgroup, last_tile);
  const uint head = kv_head * heads_per_kv + tile % heads_per_kv;
  const uint first_row = tile / heads_per_kv * tile_rows;
  const uint rows_seen = min(last_tile / heads_per_kv * tile_rows + tile_rows, args.rows);
  const uint key_count = args.position + rows_seen;

  simdgroup_float8x8 q[DIMS], sum_v[DIMS];
  for (uint i = 0; i < DIMS; i++) {
    simdgroup_load(q[i], queries + (ulong(head) * args.padded_rows + first_row) * args.padded_dim + 8 * i, args.padded_dim);
    sum_v[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  for (uint i = lane; i < 64; i += 32)
    diagonal[i] = 0;

  // This lane's share of the scores: keys_per_lane keys of one row.
  const uint row = lane / 4, column = lane % 4 * keys_per_lane;
  float maximum = lowest_score, sum = 0;
  const ulong cache = ulong(kv_head) * args.capacity * dim;

  for (uint first = 0; first < key_count; first += BLOCK) {
    load_block<DIMS, BLOCK>(keys, cache, first, key_count, dim, thread_index, block);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint j = 0; j < BLOCK / 8; j++) {
      simdgroup_float8x8 s = make_filled_simdgroup_matrix<float, 8, 8>(0.0f), k;
      for (uint i = 0; i < DIMS; i++) {
        simdgroup_load(k, block + 8 * j * pitch + 8 * i, pitch, ulong2(0, 0), true);
        simdgroup_multiply_accumulate(s, q[i], k, s);
      }
      simdgroup_store(s, scores + 8 * j, score_pitch);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    load_block<DIMS, BLOCK>(values, cache, first, key_count, dim, thread_index, block);
    const uint visible = args.position + first_row + row;  // the last key this row sees
    float score[keys_per_lane], m = maximum;
    for (uint i = 0; i < keys_per_lane; i++) {
      const bool seen = first + column + i <= visible;
      score[i] = seen ? scores[row * score_pitch + column + i] : lowest_score;
      m = max(m, score[i]);
    }
    m = max(m, simd_shuffle_xor(m, 1));
    m = max(m, simd_shuffle_xor(m, 2));
    const float fade = exp(maximum - m);
    maximum = m;
    float part = 0;
    for (uint i = 0; i < keys_per_lane; i++) {
      const float weight = exp(score[i] - m);
      scores[row * score_pitch + column + i] = weight;
      part += weight;
    }
    part += simd_shuffle_xor(part, 1);
    part += simd_shuffle_xor(part, 2);
    sum = sum * fade + part;
    if (column == 0)
      diagonal[row * 9] = fade;
    threadgroup_barrier(mem_flags::mem_threadgroup);

    simdgroup_float8x8 fades;
    simdgroup_load(fades, diagonal, 8);
    for (uint i = 0; i < DIMS; i++)
      simdgroup_multiply(sum_v[i], fades, sum_v[i]);
    for (uint j = 0; j < BLOCK / 8; j++) {
      simdgroup_float8x8 weights, v;
      simdgroup_load(weights, scores + 8 * j, score_pitch);
      for (uint i = 0; i < DIMS; i++) {
        simdgroup_load(v, block + 8 * j * pitch + 8 * i, pitch);
        simdgroup_multiply_accumulate(sum_v[i], weights, v, sum_v[i]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  if (group.y * tiles_per_group + simdgroup > last_tile)
    return;  // the threadgroup's last tile once more
  for (uint i = 0; i < DIMS; i++) {
    simdgroup_store(sum_v[i], scores, score_pitch);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint e = lane % 4; e < 8; e += 4)
      if (first_row + row < args.rows && 8 * i + e < dim)
        out[(ulong(first_row + row) * args.query_heads + head) * dim + 8 * i + e] = scores[row * score_pitch + e] / sum;
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }
}

template [[host_name("attend_prefill_16")]] [[kernel]] decltype(attend_prefill<2, 32>) attend_prefill<2, 32>;
template [[host_name("attend_prefill_32")]] [[kernel]] decltype(attend_prefill<4, 32>) attend_prefill<4, 32>;
template [[host_name("attend_prefill_64")]] [[kernel]] decltype(attend_prefill<8, 32>) attend_prefill<8, 32>;
template [[host_name("attend_prefill_128")]] [[kernel]] decltype(attend_prefill<16, 32>) attend_prefill<16, 32>;
template [[host_name("attend_prefill_256")]] [[kernel]] decltype(attend_prefill<32, 16>) attend_prefill<32, 16>;
