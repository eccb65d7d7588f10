// construct.h: vector constructors and conversions (MSL 2.2 and 2.14). Clang knows no `float4(a, b.yz, c)` in C++ and takes
// `(int4)f` for a bit cast, so the pre-pass turns constructors and casts that may make a vector into these.
#pragma once
#include "traits.h"

// Clang converts neither of half and bfloat to the other.
template <class E, class A> MSL_INLINE constexpr E msl_number(A a) {
  if constexpr ((__is_same(A, half) && __is_same(E, bfloat)) || (__is_same(A, bfloat) && __is_same(E, half))) return (E)(float)a;
  else return (E)a;
}
template <class V, class A> MSL_INLINE constexpr void msl_append(V &r, int &i, A a) {
  typedef typename msl_vector<V>::element E;
  if constexpr (msl_vector<A>::size > 0) {
    for (int k = 0; k < msl_vector<A>::size; k++) r[i++] = msl_number<E, typename msl_vector<A>::element>(a[k]);
  } else {
    r[i++] = msl_number<E>(a);
  }
}
template <class A> constexpr int msl_width = msl_vector<A>::size ? msl_vector<A>::size : 1;

template <class V> MSL_INLINE constexpr V msl_make() { return V{}; }
template <class V, class A> MSL_INLINE constexpr V msl_make(A a) {
  typedef typename msl_vector<V>::element E;
  if constexpr (__is_same(A, V)) {
    return a;
  } else if constexpr (msl_vector<A>::size > 0) {
    static_assert(msl_vector<A>::size == msl_vector<V>::size, "conversion between vectors of different sizes");
    if constexpr (__is_same(typename msl_vector<A>::element, bool) || __is_same(E, bool)) {
      V r{};
      for (int i = 0; i < msl_vector<V>::size; i++) r[i] = (E)a[i];
      return r;
    }
    else if constexpr (sizeof(E) == 2 && sizeof(a[0]) == 2 && metal::is_floating_point_v<E> && metal::is_floating_point_v<typename msl_vector<A>::element>)
      return __builtin_convertvector(__builtin_convertvector(a, metal::vec<float, msl_vector<V>::size>), V);
    else return __builtin_convertvector(a, V);
  } else if constexpr (metal::is_arithmetic_v<A> || __is_enum(A)) {
    return V(msl_number<E>(a));
  } else {
    return (V)a;  // packed vectors and classes that convert
  }
}
template <class V, class A, class B, class... C> MSL_INLINE constexpr V msl_make(A a, B b, C... c) {
  static_assert(msl_width<A> + msl_width<B> + (0 + ... + msl_width<C>) == msl_vector<V>::size,
                "constructor arguments must give exactly as many elements as the vector has");
  V r{};
  int i = 0;
  msl_append(r, i, a);
  msl_append(r, i, b);
  (msl_append(r, i, c), ...);
  return r;
}
// T(...) and (T)x where T is a name that may or may not be a vector.
template <class V, class... A> MSL_INLINE constexpr V msl_construct(A... a) {
  if constexpr (msl_vector<V>::size > 0) return msl_make<V>(a...);
  else if constexpr (sizeof...(A) == 1) return msl_number<V>(a...);
  else return V(a...);
}
template <class V, class A> MSL_INLINE constexpr V msl_cast_to(A a) {
  if constexpr (msl_vector<V>::size > 0) return msl_make<V>(a);
  else return msl_number<V>(a);
}
namespace metal {
template <class T, class A> MSL_INLINE constexpr T as_type(A a) {
  static_assert(sizeof(T) == sizeof(A), "as_type needs types of the same size");
  T r = __builtin_bit_cast(T, a);
#ifdef MSL_CHECKED
  if constexpr (msl_vector<T>::size == 0 && is_floating_point_v<T>) {
    if (!__builtin_is_constant_evaluated() && __builtin_expect(r != r, 0)) msl_note_nan();
  } else if constexpr (is_floating_point_v<typename msl_vector<T>::element>) {
    if (!__builtin_is_constant_evaluated())
      for (int i = 0; i < msl_vector<T>::size; i++)
        if (__builtin_expect(r[i] != r[i], 0)) msl_note_nan();
  }
#endif
  return r;
}
}
using metal::as_type;   // an operator of the language
