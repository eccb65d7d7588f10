// y = W·x for many rows of x (prefill): tiles of SIMD-group matrices.
//
//   shapes  W [outs, cols] in format WEIGHTS; x [rows, cols], y [rows, outs] f32
//   grid    ceil(outs / outs_per_group) × ceil(rows / ROWS) threadgroups of 128
//           threads; outs_per_group is tile_outs, or half of it with up
//   memory  (ROWS + tile_outs) · tile_pitch floats of threadgroup memory
//
// A threadgroup computes ROWS × tile_outs sums. It walks along the columns
// tile_cols at a time: x (times the norm's weight) and W, unpacked, go into
// threadgroup memory, and four SIMD-groups multiply 8×8 matrices, each ROWS/2
// rows by 32 outs, while the next columns are on their way to registers. With
// gate and up, one half of W's tile is gate and the other half the same rows of
// up. Each column of W's tile is in the order of the format's units, and x follows
// it: a sum may visit columns in any order, which is the same for all ROWS.

constexpr constant uint tile_outs = 64;
constexpr constant uint tile_cols = 32;
constexpr constant uint tile_threads = 128;
// Four floats of padding keep the rows of a tile in different banks.
constexpr constant uint tile_pitch = tile_cols + 4;

// Elements c … c+3 of a row of n, zero beyond its end.
inline float4 load_row(device const float *row, uint c, uint n) {
  if (c + 4 <= n)
    return float4(*(device const packed_float4 *)(row + c));
  float4 v;
  for (uint i = 0; i < 4; i++)
    v[i] = c + i < n ? row[c + i] : 0.0f;
  return v;
}

template <typename F, uint ROWS>
[[kernel]] void matmul(
    device float *y [[buffer(0)]],
    device const float *x [[buffer(1)]],
    device const float *norm [[buffer(2), function_constant(has_norm)]],
    device const uchar *data [[buffer(3)]],
    device const uchar *scales [[buffer(4), function_constant(affine)]],
    device const uchar *biases [[buffer(5), function_constant(affine)]],
    device const uchar *up_data [[buffer(6), function_constant(has_up)]],
    device const uchar *up_scales [[buffer(7), function_constant(has_affine_up)]],
    device const uchar *up_biases [[buffer(8), function_constant(has_affine_up)]],
    device const float *factor [[buffer(9), function_constant(has_factor)]],
    device const float *lora_b [[buffer(10), function_constant(has_lora)]],
    device const float *lora_t [[buffer(11), function_constant(has_lora)]],
    device const float *row_scale [[buffer(12), function_constant(has_row_scale)]],
    device const float *up_lora_b [[buffer(13), function_constant(has_up_lora)]],
    device const float *up_lora_t [[buffer(14), function_constant(has_up_lora)]],
    device const float *up_row_scale [[buffer(15), function_constant(has_up_row_scale)]],
    constant LinearArgs &args [[buffer(16)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float tiles[(ROWS + tile_outs) * tile_pitch];
  threadgroup float inverse_rms[ROWS];
  threadgroup float *xs = tiles, *ws = tiles + ROWS * tile_pitch;

  const Matrix w = {data, affine ? scales : nullptr, affine ? biases : nullptr, args.row_bytes, args.cols};
  const Matrix w_up = {has_up ? up_data : nullptr, has_affine_up ? up_scales : nullptr, has_affine_up ? up_biases : nullptr,
                       args.row_bytes, args.cols};
  const Epilogue epilogue = {
      y, has_factor ? factor : nullptr,
      {has_lora ? lora_b : nullptr, has_lora ? lora_t : nullptr, has_row_scale ? row_scale : nullptr, args.rank},
      {has_up_lora ? up_lora_b : nullptr, has_up_lora ? up_lora_t : nullptr, has_up_row_scale ? up_row_scale : nullptr,
       args.up_rank},
      args.outs};

  const uint outs_per_group = has_up ? tile_outs / 2 : tile_outs;
  const uint first_row = group.y * ROWS, first_out = group.x * outs_per_group;
  const uint units = (args.cols + F::unit - 1) / F::unit;
  constexpr uint units_per_tile = tile_cols / F::unit;

  // A thread copies four neighbouring columns of every sixteenth row of x, and
  // every 128th unit of W's tile.
  constexpr uint x_step = tile_threads / (tile_cols / 4);
  constexpr uint x_share = ROWS / x_step, w_share = tile_outs * units_per_tile / tile_threads;
  const uint x_column = thread_index % (tile_cols / 4) * 4, x_row = thread_index / (tile_cols / 4);
  float squares[x_share] = {};

  // This SIMD-group's quarter of the tile.
  const uint row0 = simdgroup / 2 * (ROWS / 2), out0 = simdgroup % 2 * 32;
  simdgroup_float8x8 sum[ROWS / 16][4];
  UNROLL for (uint i = 0; i < ROWS / 16; i++)
    UNROLL for (uint j = 0; j < 4; j++)
      sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  float4 next_x[x_share], next_w[w_share][F::unit / 4];
  for (uint unit = 0; unit < units + units_per_tile; unit += units_per_tile) {
    if (unit > 0) {
      // The columns loaded last go into threadgroup memory.
      threadgroup_barrier(mem_flags::mem_threadgroup);
      UNROLL for (uint i = 0; i < x_share; i++)
        *(threadgroup float4 *)(xs + (x_row + i * x_step) * tile_pitch + x_column) = next_x[i];
      UNROLL for (uint i = 0; i < w_share; i++) {
        const uint at = thread_index + i * tile_threads;
        threadgroup float4 *p = (threadgroup float4 *)(ws + at / units_per_tile * tile_pitch + at % units_per_tile * F::unit);
        UNROLL for (uint e = 0; e < F::unit / 4; e++)
          p[e] = next_w[i][e];
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (unit < units) {
      const uint c = column_of<F>(first_column<F>(unit + x_column / F::unit), x_column % F::unit);
      float4 weight = 1.0f;
      if (has_norm)
        weight = load_row(norm, c, args.cols);
      UNROLL for (uint i = 0; i < x_share; i++) {
        const uint row = first_row + x_row + i * x_step;
        const float4 v = row < args.rows ? load_row(x + ulong(row) * args.cols, c, args.cols) : float4(0.0f);
        squares[i] = dot_add(v, v, squares[i]);
        next_x[i] = v * weight;
      }
      UNROLL for (uint i = 0; i < w_share; i++) {
        const uint at = thread_index + i * tile_threads;
        const uint slot = at / units_per_tile, u = unit + at % units_per_tile;
        const uint out = first_out + slot % outs_per_group;
        if (out < args.outs && u < units)
          unpack<F>(slot < outs_per_group ? w : w_up, out, u, next_w[i]);
        else
          UNROLL for (uint e = 0; e < F::unit / 4; e++)
            next_w[i][e] = 0.0f;
      }
    }
    if (unit > 0)
      UNROLL for (uint k = 0; k < tile_cols; k += 8) {
        simdgroup_float8x8 a[ROWS / 16], b;
        UNROLL for (uint i = 0; i < ROWS / 16; i++)
          simdgroup_load(a[i], xs + (row0 + 8 * i) * tile_pitch + k, tile_pitch);
        UNROLL for (uint j = 0; j < 4; j++) {
          simdgroup_load(b, ws + (out0 + 8 * j) * tile_pitch + k, tile_pitch, ulong2(0, 0), true);
          UNROLL for (uint i = 0; i < ROWS / 16; i++)
            simdgroup_multiply_accumulate(sum[i][j], a[i], b, sum[i][j]);
        }
      }
  }

  // The lanes that share a row of x hold parts of its sum of squares.
  if (has_norm)
    UNROLL for (uint i = 0; i < x_share; i++) {
      for (ushort offset = tile_cols / 8; offset > 0; offset /= 2)
        squares[i] += simd_shuffle_xor(squares[i], offset);
      if (x_column == 0)
        inverse_rms[x_row + i * x_step] = rsqrt(squares[i] / args.cols + args.eps);
    }

  // The tiles are done with; their memory takes the sums, row by row.
  constexpr uint sum_pitch = tile_outs + 4;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  UNROLL for (uint i = 0; i < ROWS / 16; i++)
    UNROLL for (uint j = 0; j < 4; j++)
      simdgroup_store(sum[i][j], tiles + (row0 + 8 * i) * sum_pitch + out0 + 8 * j, sum_pitch);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < ROWS * outs_per_group; i += tile_threads) {
    const uint r = i / outs_per_group, o = i % outs_per_group;
    if (first_row + r >= args.rows || first_out + o >= args.outs)
      continue;
    const float scale = has_norm ? inverse_rms[r] : 1.0f;
    const float v = tiles[r * sum_pitch + o] * scale;
    const float v_up = has_up ? tiles[r * sum_pitch + outs_per_group + o] * scale : 0.0f;
    epilogue.write(first_row + r, first_out + o, v, v_up);
  }
}

template [[host_name("matmul_32")]] [[kernel]] decltype(matmul<WEIGHTS, 32>) matmul<WEIGHTS, 32>;
template [[host_name("matmul_64")]] [[kernel]] decltype(matmul<WEIGHTS, 64>) matmul<WEIGHTS, 64>;
