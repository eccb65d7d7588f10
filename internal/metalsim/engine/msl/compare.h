// compare.h: comparisons (MSL 3.2). Clang compares vectors to 0 / -1 integers where MSL has booleans, and no overload can
// change that for a built-in type. So the pre-pass puts a tag of class type into each comparison: `a < b` becomes
// `a < msl_less() > b`. The operator behind the tag has the precedence of the one in front, so nothing else changes.
#pragma once
#include "construct.h"

// A scalar beside a vector is a vector of that scalar; packed vectors are vectors.
template <class V, class A> MSL_INLINE constexpr V msl_beside(A a) {
  if constexpr (msl_vector<A>::size > 0) return a;
  else return V((typename msl_vector<V>::element)a);
}
template <class T, int N> MSL_INLINE constexpr metal::vec<T, N> msl_operand(metal::packed_vec<T, N> a) { return a; }
template <class T> MSL_INLINE constexpr T msl_operand(T a) { return a; }

#define MSL_COMPARISON(name, op, second) \
  struct name {}; \
  template <class A> struct name##_left { A a; }; \
  template <class A> MSL_INLINE constexpr name##_left<A> operator op(A a, name) { return {a}; } \
  template <class A, class B> MSL_INLINE constexpr auto name##_of(A a, B b) { \
    constexpr int n = msl_vector<A>::size ? msl_vector<A>::size : msl_vector<B>::size; \
    if constexpr (n > 0 && !__is_class(A) && !__is_class(B)) { \
      typedef metal::conditional_t<(msl_vector<A>::size > 0), A, B> V; \
      auto lanes = msl_beside<V>(a) op msl_beside<V>(b); \
      metal::msl_bools<n> r(false); \
      for (int i = 0; i < n; i++) r.e[i] = lanes[i] != 0; \
      return r; \
    } else if constexpr (metal::is_pointer_v<A> && __is_integral(B)) { \
      return a op(A)(ulong) b; \
    } else { \
      return a op b; \
    } \
  } \
  template <class A, class B> MSL_INLINE constexpr auto operator second(name##_left<A> l, B b) { return name##_of(msl_operand(l.a), msl_operand(b)); }
MSL_COMPARISON(msl_less, <, >)
MSL_COMPARISON(msl_greater, >, >)
MSL_COMPARISON(msl_less_equal, <=, <=)
MSL_COMPARISON(msl_greater_equal, >=, >=)
MSL_COMPARISON(msl_equal, ==, ==)
MSL_COMPARISON(msl_unequal, !=, !=)
#undef MSL_COMPARISON
