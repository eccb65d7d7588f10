// x[r] = E[token[r]]: the rows of an embedding table, widened; with an adapter,
// x[r] = row_scale · (E[token[r]] + B[token[r]]·A).
//
//   shapes  E [vocabulary, cols] in format WEIGHTS, tokens [rows] int32,
//           A [rank, cols], B [vocabulary, rank], x [rows, cols] f32
//   grid    ceil(units of a row / threads) × rows threadgroups; a unit for
//           each thread

constant bool has_lora [[function_constant(3)]];
constant bool has_row_scale [[function_constant(4)]];

struct EmbedArgs {
  uint vocabulary;
  uint cols;
  uint row_bytes;
  uint rank;  // of the adapter
};

template <typename F>
[[kernel]] void embed(
    device float *x [[buffer(0)]],
    device const int *tokens [[buffer(1)]],
    device const uchar *data [[buffer(2)]],
    device const uchar *scales [[buffer(3), function_constant(affine)]],
    device const uchar *biases [[buffer(4), function_constant(affine)]],
    constant EmbedArgs &args [[buffer(5)]],
    device const float *a [[buffer(6), function_constant(has_lora)]],
    device const float *b [[buffer(7), function_constant(has_lora)]],
    device const float *row_scale [[buffer(8), function_constant(has_row_scale)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint2 threads [[threads_per_threadgroup]]) {
  const uint row = group.y, unit = group.x * threads.x + thread_index;
  if (first_column<F>(unit) >= args.cols)
    return;
  const Matrix table = {data, affine ? scales : nullptr, affine ? biases : nullptr,
                        args.row_bytes, args.cols};
  // The launcher has refused other tokens, as far as the CPU knows them; choose
  // sets -1 where there is none.
  const uint token = min(uint(tokens[row]), args.vocabulary - 1);
  float4 v[F::unit / 4];
  unpack<F>(table, token, unit, v);
  const uint c = first_column<F>(unit);
  for (uint e = 0; e < F::unit; e++) {
    const uint column = column_of<F>(c, e);
    if (column >= args.cols)
      continue;
    float element = v[e / 4][e % 4];
    if (has_lora)
      for (uint j = 0; j < args.rank; j++)
        element += b[ulong(token) * args.rank + j] * a[ulong(j) * args.cols + column];
    if (has_row_scale)
      element *= row_scale[token];
    x[ulong(row) * args.cols + column] = element;
  }
}

template [[host_name("embed")]] [[kernel]] decltype(embed<WEIGHTS>) embed<WEIGHTS>;
