// The k largest logits of each row, largest first, the smaller index first
// among equals; with k = 1 arg-max.
//
//   shapes  logits [rows, n] f32, ids [rows, k] int32, values [rows, k] f32
//   grid    rows threadgroups of simdgroups·32 threads
//
// The logits have a total order, so the next one is the first of those after
// the last one found: k passes over a row that is in the cache, and no list.

#include <metal_stdlib>
using namespace metal;

struct TopKArgs {
  uint n;
  uint k;
};

struct Candidate {
  float value;
  uint id;

  bool before(Candidate o) const { return value > o.value || (value == o.value && id < o.id); }
};

// The first candidate of a SIMD-group's.
inline Candidate simd_first(Candidate c) {
  const float value = simd_max(c.value);
  return {value, simd_min(c.value == value ? c.id : UINT_MAX)};
}

[[kernel]] void top_k(
    device int *ids [[buffer(0)]],
    device float *values [[buffer(1)]],
    device const float *logits [[buffer(2)]],
    constant TopKArgs &args [[buffer(3)]],
    uint row [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float group_values[32];
  threadgroup uint group_ids[32];
  logits += ulong(row) * args.n;
  const Candidate none = {-INFINITY, UINT_MAX};
  Candidate last = {INFINITY, 0};
  for (uint j = 0; j < args.k; j++) {
    Candidate best = none;
    for (uint i = thread_index; i < args.n; i += threads) {
      const Candidate c = {logits[i], i};
      if (c.before(best) && (j == 0 || last.before(c)))
        best = c;
    }
    best = simd_first(best);
    if (lane == 0) {
      group_values[simdgroup] = best.value;
      group_ids[simdgroup] = best.id;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    last = none;
    if (lane < simdgroups)
      last = {group_values[lane], group_ids[lane]};
    last = simd_first(last);
    if (thread_index == 0) {
      ids[row * args.k + j] = int(last.id);
      values[row * args.k + j] = last.value;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}
