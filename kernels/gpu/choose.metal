// The most probable token: for each row the index of the largest logit, the
// first among equals, or -1 if not all logits of the row are finite.
//
//   shapes  logits [rows, n] f32, tokens [rows] int32
//   grid    rows threadgroups of simdgroups·32 threads
//
// A row comes from a cache, into which the dispatch before wrote it; loads of
// eight columns are under way at a time.

struct ChooseArgs {
  uint n;
};

struct Candidate {
  float logit;
  uint token;
  uint wrong;  // 1 if a logit is not finite

  void consider(Candidate o) {
    if (o.logit > logit || (o.logit == logit && o.token < token)) {
      logit = o.logit;
      token = o.token;
    }
    wrong |= o.wrong;
  }
};

// The best candidate of a SIMD-group's.
inline Candidate simd_best(Candidate c) {
  const float logit = simd_max(c.logit);
  return {logit, simd_min(c.logit == logit ? c.token : UINT_MAX), simd_max(c.wrong)};
}

constant constexpr uint kAtOnce = 8;

[[kernel]] void choose(
    device int *tokens [[buffer(0)]],
    device const float *logits [[buffer(1)]],
    constant ChooseArgs &args [[buffer(2)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float group_logits[32];
  threadgroup uint group_tokens[32];
  threadgroup uint group_wrong[32];
  logits += ulong(row) * args.n;
  Candidate best = {-INFINITY, UINT_MAX, 0};
  for (uint i = thread_index; i < args.n; i += kAtOnce * threads) {
    float v[kAtOnce];
    UNROLL
    for (uint j = 0; j < kAtOnce; j++)
      v[j] = logits[min(i + j * threads, args.n - 1)];  // the last one again and again
    UNROLL
    for (uint j = 0; j < kAtOnce; j++)
      best.consider({v[j], min(i + j * threads, args.n - 1), isfinite(v[j]) ? 0u : 1u});
  }
  best = simd_best(best);
  if (lane == 0) {
    group_logits[simdgroup] = best.logit;
    group_tokens[simdgroup] = best.token;
    group_wrong[simdgroup] = best.wrong;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simdgroup > 0)
    return;
  const bool mine = lane < simdgroups;
  best = {mine ? group_logits[lane] : -INFINITY, mine ? group_tokens[lane] : UINT_MAX, mine ? group_wrong[lane] : 0u};
  best = simd_best(best);
  if (lane == 0)
    tokens[row] = best.wrong ? -1 : int(best.token);
}
