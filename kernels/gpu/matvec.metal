// y = W·x for few rows of x (decode): every weight is read once.
//
//   shapes  W [outs, cols] in format WEIGHTS; x [rows, cols], y [rows, outs] f32;
//           rows ≤ ROWS, the template's compile-time count
//   grid    ceil(outs / (tiles·simdgroups·tile_outs)) threadgroups of
//           simdgroups·32 threads
//   memory  ROWS·skewed(chunk) floats of threadgroup memory for x
//
// The product is bound by reading W. Eight neighbouring lanes read one row of
// W, so a SIMD-group reads four rows in runs of at least 128 bytes, and a sum
// takes three shuffles; each lane works on two rows to have more loads in
// flight. With gate and up, the two are the same row of both matrices.
//
// x is shared through threadgroup memory: read from device memory by a
// threadgroup once, multiplied by the norm's weight on the way, its squares
// summed on the way. Rows too long for that are staged chunk by chunk.

constexpr constant uint lanes_per_row = 8;
constexpr constant uint rows_per_lane = 2;
constexpr constant uint rows_per_simdgroup = 32 / lanes_per_row * rows_per_lane;

// Lanes read x in steps of 8 or 32 floats. Four floats of padding for each 32
// spread those float4 loads over all threadgroup memory banks.
inline uint skewed(uint i) { return i + i / 32 * 4; }

template <typename F, uint ROWS>
[[kernel]] void matvec(
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
    threadgroup float *xs [[threadgroup(0)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float partial_squares[ROWS * 32];

  const Matrix w = {data, affine ? scales : nullptr, affine ? biases : nullptr, args.row_bytes, args.cols, args.group};
  const Matrix w_up = {has_up ? up_data : nullptr, has_affine_up ? up_scales : nullptr, has_affine_up ? up_biases : nullptr,
                       args.row_bytes, args.cols, args.group};
  const Epilogue epilogue = {
      y, has_factor ? factor : nullptr,
      {has_lora ? lora_b : nullptr, has_lora ? lora_t : nullptr, has_row_scale ? row_scale : nullptr, args.rank},
      {has_up_lora ? up_lora_b : nullptr, has_up_lora ? up_lora_t : nullptr, has_up_row_scale ? up_row_scale : nullptr,
       args.up_rank},
      args.outs};

  // This lane's part: rows out and out+1 of W, or row out of gate and of up.
  const uint outs_per_lane = has_up ? 1 : rows_per_lane;
  const uint outs_per_simdgroup = rows_per_simdgroup / rows_per_lane * outs_per_lane;
  const uint part = lane % lanes_per_row;
  const uint pitch = skewed(args.chunk);

  float squares[ROWS] = {}, inverse_rms[ROWS];
  for (uint tile = 0; tile < args.tiles; tile++) {
    const uint out = ((group * args.tiles + tile) * simdgroups + simdgroup) * outs_per_simdgroup +
                     lane / lanes_per_row * outs_per_lane;
    float sum[rows_per_lane][ROWS] = {};

    for (uint first = 0; first < args.cols; first += args.chunk) {
      const uint width = min(args.chunk, args.cols - first);
      if (tile == 0 || args.chunk < args.cols) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        // Up to a whole unit, because unpack fills up with zeros.
        for (uint i = thread_index; i < (width + 7) / 8 * 8; i += threads) {
          const bool inside = i < width;
          const float weight = has_norm && inside ? norm[first + i] : 1.0f;
          for (uint n = 0; n < ROWS; n++) {
            const float v = inside && n < args.rows ? x[ulong(n) * args.cols + first + i] : 0.0f;
            if (tile == 0)
              squares[n] += v * v;
            xs[n * pitch + skewed(i)] = v * weight;
          }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }

      const uint end = (first + width + F::unit - 1) / F::unit;
      for (uint u = first / F::unit + part; u < end; u += lanes_per_row) {
        // Runs are 32 columns apart and do not cross a multiple of 32.
        threadgroup const float *p = xs + skewed(first_column<F>(u) - first);
        for (uint r = 0; r < rows_per_lane; r++) {
          if (out + (has_up ? 0 : r) >= args.outs)
            continue;
          float4 v[F::unit / 4];
          F::unpack(has_up && r == 1 ? w_up : w, out + (has_up ? 0 : r), u, v);
          for (uint n = 0; n < ROWS; n++)
            for (uint e = 0; e < F::unit; e += 4) {
              const uint at = n * pitch + e / F::run * skewed(F::stride) + e % F::run;
              sum[r][n] += dot(v[e / 4], *(threadgroup const float4 *)(p + at));
            }
        }
      }
    }

    if (has_norm && tile == 0) {
      for (uint n = 0; n < ROWS; n++) {
        const float s = simd_sum(squares[n]);
        if (lane == 0)
          partial_squares[n * 32 + simdgroup] = s;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint n = 0; n < ROWS; n++) {
        const float s = simd_sum(lane < simdgroups ? partial_squares[n * 32 + lane] : 0.0f);
        inverse_rms[n] = rsqrt(s / args.cols + args.eps);
      }
    }

    for (uint n = 0; n < ROWS; n++) {
      for (uint r = 0; r < rows_per_lane; r++) {
        for (ushort offset = lanes_per_row / 2; offset > 0; offset /= 2)
          sum[r][n] += simd_shuffle_xor(sum[r][n], offset);
        if (has_norm)
          sum[r][n] *= inverse_rms[n];
      }
      // The lanes of a row share its epilogues.
      if (part == n && n < args.rows)
        for (uint r = 0; r < outs_per_lane; r++)
          if (out + r < args.outs)
            epilogue.write(n, out + r, sum[r][n], sum[1][n]);
    }
  }
}

template [[host_name("matvec_1")]] [[kernel]] decltype(matvec<WEIGHTS, 1>) matvec<WEIGHTS, 1>;
template [[host_name("matvec_2")]] [[kernel]] decltype(matvec<WEIGHTS, 2>) matvec<WEIGHTS, 2>;
template [[host_name("matvec_4")]] [[kernel]] decltype(matvec<WEIGHTS, 4>) matvec<WEIGHTS, 4>;
template [[host_name("matvec_8")]] [[kernel]] decltype(matvec<WEIGHTS, 8>) matvec<WEIGHTS, 8>;
