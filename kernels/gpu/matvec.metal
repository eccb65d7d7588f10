// y = W·x for few rows of x (decode): every weight is asked for once.
//
//   shapes  W [outs, cols] in format WEIGHTS; x [rows, cols], y [rows, outs] f32
//   grid    ceil(rows / ROWS) · ceil(outs / (simdgroups·outs_per_simdgroup))
//           threadgroups of simdgroups·32 threads; neighbours read the same W
//
// The product is bound by reading W. A SIMD-group works on four rows of W, or
// with gate and up on two rows of both, and its lanes take unit by unit of them,
// 32 units at a time: four loads of up to 16 bytes in flight for each lane, and
// for hundreds of SIMD-groups. x comes from device memory, that is, from a cache,
// times the norm's weight, its squares summed on the way. There is nothing to
// wait for before the first weight, and nothing is shared.
//
// What a row of x gets must not depend on how many share the pass (exactness, see
// kernels.ExactRows), nor on how outs are divided: whatever ROWS and simdgroups
// are, a sum is made of the same 32 parts in the same order. Multiplications that
// feed additions are written as fma, so that the compiler has no choice.

constexpr constant uint rows_per_simdgroup = 4;  // of W; gate and up share them

// Elements of x, or of the norm's weight, that unit u of a row multiplies.
template <typename F> void load_unit(device const float *x, uint u, uint cols, thread float4 *v) {
  const uint first = first_column<F>(u);
  UNROLL for (uint e = 0; e < F::unit; e += 4) {
    const uint c = column_of<F>(first, e);
    if (!ragged || c + 4 <= cols)
      v[e / 4] = float4(*(device const packed_float4 *)(x + c));
    else
      UNROLL for (uint i = 0; i < 4; i++)
        v[e / 4][i] = c + i < cols ? x[c + i] : 0.0f;
  }
}

// sum + Σ w·x of a unit, w = scale·(q + centre) + offset. The scale is applied to
// a sum of products, offset and centre to a sum of x (total).
template <typename F>
float add_unit(thread const float4 *q, thread const Scales &s, thread const float4 *x, float2 total, float sum) {
  if (F::scales == 0) {
    UNROLL for (uint e = 0; e < F::unit / 4; e++)
      sum = dot_add(q[e], x[e], sum);
    return sum;
  }
  UNROLL for (uint i = 0; i < F::scales; i++) {
    float products = 0;
    UNROLL for (uint e = 0; e < F::unit / 4 / F::scales; e++)
      products = dot_add(q[i * F::unit / 4 / F::scales + e], x[i * F::unit / 4 / F::scales + e], products);
    sum = fma(s.scale[i], products, sum);
    if (F::centre > 0)
      sum = fma(s.offset[i], total[i], sum);
  }
  return sum;
}

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
    uint group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint outs_per_simdgroup = has_up ? rows_per_simdgroup / 2 : rows_per_simdgroup;
  const uint row_tiles = (args.rows + ROWS - 1) / ROWS;
  const uint first_row = group % row_tiles * ROWS;
  const uint first_out = (group / row_tiles * simdgroups + simdgroup) * outs_per_simdgroup;
  if (first_out >= args.outs)
    return;

  const Matrix w = {data, affine ? scales : nullptr, affine ? biases : nullptr, args.row_bytes, args.cols};
  const Matrix w_up = {has_up ? up_data : nullptr, has_affine_up ? up_scales : nullptr, has_affine_up ? up_biases : nullptr,
                       args.row_bytes, args.cols};

  // Rows beyond the last one are the last one again; nothing is written for them.
  float sum[rows_per_simdgroup][ROWS] = {}, squares[ROWS] = {};
  const uint units = (args.cols + F::unit - 1) / F::unit;
  UNROLL_TWICE for (uint u = lane; u < units; u += 32) {
    float4 q[rows_per_simdgroup][F::unit / 4];
    Scales s[rows_per_simdgroup];
    UNROLL for (uint r = 0; r < rows_per_simdgroup; r++) {
      const bool is_up = has_up && r >= outs_per_simdgroup;
      const uint out = min(first_out + (is_up ? r - outs_per_simdgroup : r), args.outs - 1);
      s[r] = F::read(is_up ? w_up : w, out, u, q[r]);
      if (F::centre > 0)
        s[r].offset = fma(s[r].scale, float2(F::centre), s[r].offset);
    }
    float4 weight[F::unit / 4];
    if (has_norm)
      load_unit<F>(norm, u, args.cols, weight);
    UNROLL for (uint n = 0; n < ROWS; n++) {
      float4 v[F::unit / 4];
      load_unit<F>(x + ulong(min(first_row + n, args.rows - 1)) * args.cols, u, args.cols, v);
      if (has_norm)
        UNROLL for (uint e = 0; e < F::unit / 4; e++) {
          squares[n] = dot_add(v[e], v[e], squares[n]);
          v[e] *= weight[e];
        }
      float2 total = 0;
      if (F::centre > 0)
        UNROLL for (uint i = 0; i < F::scales; i++) {
          float4 t = v[i * F::unit / 4 / F::scales];
          UNROLL for (uint e = 1; e < F::unit / 4 / F::scales; e++)
            t += v[i * F::unit / 4 / F::scales + e];
          total[i] = (t.x + t.y) + (t.z + t.w);
        }
      UNROLL for (uint r = 0; r < rows_per_simdgroup; r++)
        sum[r][n] = add_unit<F>(q[r], s[r], v, total, sum[r][n]);
    }
  }

  float inverse_rms[ROWS];
  UNROLL for (uint n = 0; n < ROWS; n++) {
    if (has_norm)
      inverse_rms[n] = rsqrt(simd_sum(squares[n]) / args.cols + args.eps);
    UNROLL for (uint r = 0; r < rows_per_simdgroup; r++) {
      sum[r][n] = simd_sum(sum[r][n]);
      if (has_norm)
        sum[r][n] *= inverse_rms[n];
    }
  }

  // A lane for each row of x and out.
  const Epilogue epilogue = {
      y, has_factor ? factor : nullptr,
      {has_lora ? lora_b : nullptr, has_lora ? lora_t : nullptr, has_row_scale ? row_scale : nullptr, args.rank},
      {has_up_lora ? up_lora_b : nullptr, has_up_lora ? up_lora_t : nullptr, has_up_row_scale ? up_row_scale : nullptr,
       args.up_rank},
      args.outs};
  const uint row = first_row + lane / rows_per_simdgroup, r = lane % rows_per_simdgroup;
  float v = 0, v_up = 0;
  UNROLL for (uint n = 0; n < ROWS; n++)
    UNROLL for (uint i = 0; i < rows_per_simdgroup; i++) {
      if (lane == n * rows_per_simdgroup + i)
        v = sum[i][n];
      if (has_up && lane + outs_per_simdgroup == n * rows_per_simdgroup + i)
        v_up = sum[i][n];
    }
  if (lane < ROWS * rows_per_simdgroup && row < args.rows && r < outs_per_simdgroup && first_out + r < args.outs)
    epilogue.write(row, first_out + r, v, v_up);
}

template [[host_name("matvec_1")]] [[kernel]] decltype(matvec<WEIGHTS, 1>) matvec<WEIGHTS, 1>;
template [[host_name("matvec_2")]] [[kernel]] decltype(matvec<WEIGHTS, 2>) matvec<WEIGHTS, 2>;
template [[host_name("matvec_4")]] [[kernel]] decltype(matvec<WEIGHTS, 4>) matvec<WEIGHTS, 4>;
template [[host_name("matvec_8")]] [[kernel]] decltype(matvec<WEIGHTS, 8>) matvec<WEIGHTS, 8>;
