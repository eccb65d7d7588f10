// simd.h: SIMD-group and quad-group functions (MSL 6.10.2 and 6.10.3). Each is one exchange: the lanes deposit a value, wait
// for each other, and read what they need. Lanes that take no part have all bits set in their slot.
#pragma once
#include "atomic.h"

struct msl_lanes {
  msl_exchanged *e;
  template <class T> MSL_INLINE T at(uint lane) const {
    T r;
    __builtin_memcpy(&r, e->lane[lane & 31], sizeof(T));
    return r;
  }
  MSL_INLINE bool active(uint lane) const { return e->mask >> lane & 1; }
  MSL_INLINE uint first() const { return __builtin_ctz(e->mask); }
};
template <int kind = MSL_OP_CONVERGED, class T> MSL_INLINE msl_lanes msl_give(T v) {
  static_assert(sizeof(T) <= 64, "type too large for a SIMD-group function");
  [[clang::nomerge]] return {msl_exchange(&v, sizeof(T), kind, 0)};
}
// The first lane to come computes for all: f(lanes) -> T.
template <class T, class F> MSL_INLINE T msl_once(msl_lanes lanes, F f) {
  static_assert(sizeof(T) <= 256, "");
  if (!lanes.e->done) {
    T r = f(lanes);
    __builtin_memcpy(lanes.e->result, &r, sizeof(T));
    lanes.e->done = 1;
  }
  T r;
  __builtin_memcpy(&r, lanes.e->result, sizeof(T));
  return r;
}

namespace metal {
MSL_INLINE uint msl_lane() { return msl_current->lane; }
// A lane that a shuffle reads from must exist.
MSL_INLINE uint msl_source(uint lane, uint width) {
#ifdef MSL_CHECKED
  if (__builtin_expect(lane >= width, 0)) { [[clang::nomerge]] msl_undefined(MSL_BAD_LANE, 0); }
#endif
  return lane;
}

// Shuffles.
template <class T> MSL_INLINE T simd_shuffle(T v, ushort lane) { return msl_give(v).template at<T>(msl_source(lane, 32)); }
template <class T> MSL_INLINE T simd_broadcast(T v, ushort lane) { return msl_give(v).template at<T>(msl_source(lane, 32)); }
template <class T> MSL_INLINE T simd_broadcast_first(T v) {
  auto s = msl_give<MSL_OP_ACTIVE>(v);
  return s.template at<T>(s.first());
}
template <class T> MSL_INLINE T simd_shuffle_xor(T v, ushort mask) { return msl_give(v).template at<T>(msl_source(msl_lane() ^ mask, 32)); }
template <class T> MSL_INLINE T simd_shuffle_up(T v, ushort delta) {
  auto s = msl_give(v);
  return msl_lane() >= delta ? s.template at<T>(msl_lane() - delta) : v;
}
template <class T> MSL_INLINE T simd_shuffle_down(T v, ushort delta) {
  auto s = msl_give(v);
  return msl_lane() + delta < 32 ? s.template at<T>(msl_lane() + delta) : v;
}
template <class T> MSL_INLINE T simd_shuffle_rotate_up(T v, ushort delta) { return msl_give(v).template at<T>(msl_lane() - delta); }
template <class T> MSL_INLINE T simd_shuffle_rotate_down(T v, ushort delta) { return msl_give(v).template at<T>(msl_lane() + delta); }
template <class T> struct msl_pair { T value, fill; };
template <class T> MSL_INLINE T simd_shuffle_and_fill_up(T v, T fill, ushort delta, ushort modulo = 32) {
  auto s = msl_give(msl_pair<T>{v, fill});
  uint lane = msl_lane(), in = lane % modulo;
  return in >= delta ? s.template at<msl_pair<T>>(lane - delta).value : s.template at<msl_pair<T>>(lane + modulo - delta).fill;
}
template <class T> MSL_INLINE T simd_shuffle_and_fill_down(T v, T fill, ushort delta, ushort modulo = 32) {
  auto s = msl_give(msl_pair<T>{v, fill});
  uint lane = msl_lane(), in = lane % modulo;
  return in + delta < modulo ? s.template at<msl_pair<T>>(lane + delta).value : s.template at<msl_pair<T>>(lane + delta - modulo).fill;
}

// Reductions over the active lanes, as a tree of halves: the order in which hardware adds is not specified.
template <class T, class F> MSL_INLINE T msl_reduce(T v, F f) {
  return msl_once<T>(msl_give(v), [&](msl_lanes s) {
    T value[32];
    bool on[32];
    for (uint i = 0; i < 32; i++) {
      on[i] = s.active(i);
      value[i] = s.template at<T>(i);
    }
    for (uint half = 16; half; half >>= 1)
      for (uint i = 0; i < half; i++) {
        if (!on[i + half]) continue;
        value[i] = on[i] ? f(value[i], value[i + half]) : value[i + half];
        on[i] = true;
      }
    return value[0];
  });
}
template <class T, class F> MSL_INLINE T msl_quad_reduce(T v, F f) {
  auto s = msl_give(v);
  uint base = msl_lane() & ~3u;
  T r = v;
  bool any = false;
  for (uint i = base; i < base + 4; i++) {
    if (!s.active(i)) continue;
    r = any ? f(r, s.template at<T>(i)) : s.template at<T>(i);
    any = true;
  }
  return r;
}
#define MSL_REDUCTION(name, expr) \
  template <class T> MSL_INLINE T simd_##name(T v) { return msl_reduce(v, [](T a, T b) { return (T)(expr); }); } \
  template <class T> MSL_INLINE T quad_##name(T v) { return msl_quad_reduce(v, [](T a, T b) { return (T)(expr); }); }
MSL_REDUCTION(sum, a + b)
MSL_REDUCTION(product, a * b)
MSL_REDUCTION(max, metal::max(a, b))
MSL_REDUCTION(min, metal::min(a, b))
MSL_REDUCTION(and, a & b)
MSL_REDUCTION(or, a | b)
MSL_REDUCTION(xor, a ^ b)
#undef MSL_REDUCTION

// Prefix sums and products, in lane order.
template <class T, class F> MSL_INLINE T msl_scan(T v, T start, uint end, uint begin, F f) {
  auto s = msl_give(v);
  T r = start;
  for (uint i = begin; i < end; i++)
    if (s.active(i)) r = f(r, s.template at<T>(i));
  return r;
}
#define MSL_SCAN(name, start, expr) \
  template <class T> MSL_INLINE T simd_prefix_inclusive_##name(T v) { return msl_scan(v, T(start), msl_lane() + 1, 0, [](T a, T b) { return (T)(expr); }); } \
  template <class T> MSL_INLINE T simd_prefix_exclusive_##name(T v) { return msl_scan(v, T(start), msl_lane(), 0, [](T a, T b) { return (T)(expr); }); } \
  template <class T> MSL_INLINE T quad_prefix_inclusive_##name(T v) { return msl_scan(v, T(start), msl_lane() + 1, msl_lane() & ~3u, [](T a, T b) { return (T)(expr); }); } \
  template <class T> MSL_INLINE T quad_prefix_exclusive_##name(T v) { return msl_scan(v, T(start), msl_lane(), msl_lane() & ~3u, [](T a, T b) { return (T)(expr); }); }
MSL_SCAN(sum, 0, a + b)
MSL_SCAN(product, 1, a * b)
#undef MSL_SCAN

// Votes. Made for divergent flow.
struct simd_vote {
  typedef ulong vote_t;
  MSL_INLINE explicit constexpr simd_vote(vote_t v = 0) : vote(v) {}
  MSL_INLINE explicit constexpr operator vote_t() const { return vote; }
  MSL_INLINE constexpr bool any() const { return vote != 0; }
  MSL_INLINE constexpr bool all() const { return uint(vote) == ~0u; }
 private:
  vote_t vote;
};
struct quad_vote {
  typedef ushort vote_t;
  MSL_INLINE explicit constexpr quad_vote(vote_t v = 0) : vote(v) {}
  MSL_INLINE explicit constexpr operator vote_t() const { return vote; }
  MSL_INLINE constexpr bool any() const { return vote != 0; }
  MSL_INLINE constexpr bool all() const { return vote == 15; }
 private:
  vote_t vote;
};
MSL_INLINE uint msl_ballot(bool b, thread uint &active) {
  auto s = msl_give<MSL_OP_ACTIVE>((int)b);
  uint r = 0;
  for (uint i = 0; i < 32; i++)
    if (s.active(i) && s.at<int>(i)) r |= 1u << i;
  active = s.e->mask;
  return r;
}
MSL_INLINE simd_vote simd_ballot(bool b) { uint active; return simd_vote(msl_ballot(b, active)); }
MSL_INLINE simd_vote simd_active_threads_mask() { uint active; return simd_vote(msl_ballot(true, active)); }
MSL_INLINE bool simd_any(bool b) { uint active; return msl_ballot(b, active) != 0; }
MSL_INLINE bool simd_all(bool b) { uint active; return msl_ballot(b, active) == active; }
MSL_INLINE bool simd_is_first() { uint active; msl_ballot(true, active); return (uint)__builtin_ctz(active) == msl_lane(); }
MSL_INLINE bool simd_is_helper_thread() { return false; }
MSL_INLINE uint msl_quad_of(uint mask) { return mask >> (msl_lane() & ~3u) & 15; }
MSL_INLINE quad_vote quad_ballot(bool b) { uint active; return quad_vote(msl_quad_of(msl_ballot(b, active))); }
MSL_INLINE quad_vote quad_active_threads_mask() { uint active; return quad_vote(msl_quad_of(msl_ballot(true, active))); }
MSL_INLINE bool quad_any(bool b) { uint active; return msl_quad_of(msl_ballot(b, active)) != 0; }
MSL_INLINE bool quad_all(bool b) { uint active, r = msl_ballot(b, active); return msl_quad_of(r) == msl_quad_of(active); }
MSL_INLINE bool quad_is_first() { uint active; msl_ballot(true, active); return (uint)__builtin_ctz(msl_quad_of(active)) == (msl_lane() & 3); }

// Quad-group shuffles.
template <class T> MSL_INLINE T quad_shuffle(T v, ushort lane) { return msl_give(v).template at<T>((msl_lane() & ~3u) + (msl_source(lane, 4) & 3)); }
template <class T> MSL_INLINE T quad_broadcast(T v, ushort lane) { return quad_shuffle(v, lane); }
template <class T> MSL_INLINE T quad_broadcast_first(T v) {
  auto s = msl_give<MSL_OP_ACTIVE>(v);
  return s.template at<T>((msl_lane() & ~3u) + __builtin_ctz(msl_quad_of(s.e->mask)));
}
template <class T> MSL_INLINE T quad_shuffle_xor(T v, ushort mask) { return quad_shuffle(v, (msl_lane() & 3) ^ mask); }
template <class T> MSL_INLINE T quad_shuffle_up(T v, ushort delta) {
  auto s = msl_give(v);
  return (msl_lane() & 3) >= delta ? s.template at<T>(msl_lane() - delta) : v;
}
template <class T> MSL_INLINE T quad_shuffle_down(T v, ushort delta) {
  auto s = msl_give(v);
  return (msl_lane() & 3) + delta < 4 ? s.template at<T>(msl_lane() + delta) : v;
}
template <class T> MSL_INLINE T quad_shuffle_rotate_up(T v, ushort delta) { return quad_shuffle(v, (msl_lane() - delta) & 3); }
template <class T> MSL_INLINE T quad_shuffle_rotate_down(T v, ushort delta) { return quad_shuffle(v, (msl_lane() + delta) & 3); }
}
