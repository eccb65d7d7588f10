// x[r] = E[token[r]]: the rows of an embedding table, widened.
//
//   shapes  E [vocabulary, cols] in format WEIGHTS, tokens [rows] int32,
//           x [rows, cols] f32
//   grid    ceil(units of a row / threads) × rows threadgroups; a unit for
//           each thread

struct EmbedArgs {
  uint vocabulary;
  uint cols;
  uint row_bytes;
  uint group;
};

template <typename F>
[[kernel]] void embed(
    device float *x [[buffer(0)]],
    device const int *tokens [[buffer(1)]],
    device const uchar *data [[buffer(2)]],
    device const uchar *scales [[buffer(3), function_constant(affine)]],
    device const uchar *biases [[buffer(4), function_constant(affine)]],
    constant EmbedArgs &args [[buffer(5)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint2 threads [[threads_per_threadgroup]]) {
  const uint row = group.y, unit = group.x * threads.x + thread_index;
  if (first_column<F>(unit) >= args.cols)
    return;
  const Matrix table = {data, affine ? scales : nullptr, affine ? biases : nullptr,
                        args.row_bytes, args.cols, args.group};
  // The launcher has refused other tokens; this keeps a change of them since
  // then from reading outside the table.
  const uint token = min(uint(tokens[row]), args.vocabulary - 1);
  float4 v[F::unit / 4];
  F::unpack(table, token, unit, v);
  const uint c = first_column<F>(unit);
  for (uint e = 0; e < F::unit; e++)
    if (column_of<F>(c, e) < args.cols)
      x[ulong(row) * args.cols + column_of<F>(c, e)] = v[e / 4][e % 4];
}

template [[host_name("embed")]] [[kernel]] decltype(embed<WEIGHTS>) embed<WEIGHTS>;
