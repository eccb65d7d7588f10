// uniform.h: metal_uniform (MSL 2.15): values that are the same for all threads of a threadgroup. That is a promise to
// the compiler; here they are just values.
#pragma once
#include "construct.h"

namespace metal {
template <class T> struct uniform {
  T value;
  uniform() = default;
  MSL_INLINE constexpr uniform(T v) : value(v) {}
  template <class U> MSL_INLINE constexpr uniform(uniform<U> o) : value((T)o.value) {}
  MSL_INLINE constexpr operator T() const { return value; }
  MSL_INLINE constexpr uniform operator-() const { return -value; }
  MSL_INLINE constexpr uniform operator~() const { return ~value; }
};
template <class T> MSL_INLINE constexpr uniform<T> make_uniform(T v) { return uniform<T>(v); }
#define MSL_UNIFORM(op) \
  template <class T, class U> MSL_INLINE constexpr auto operator op(uniform<T> a, uniform<U> b) { return make_uniform(a.value op b.value); } \
  template <class T, class U, class = enable_if_t<is_arithmetic_v<U>>> MSL_INLINE constexpr auto operator op(uniform<T> a, U b) { return a.value op b; } \
  template <class T, class U, class = enable_if_t<is_arithmetic_v<T>>> MSL_INLINE constexpr auto operator op(T a, uniform<U> b) { return a op b.value; }
MSL_UNIFORM(+) MSL_UNIFORM(-) MSL_UNIFORM(*) MSL_UNIFORM(/) MSL_UNIFORM(%) MSL_UNIFORM(&) MSL_UNIFORM(|) MSL_UNIFORM(^) MSL_UNIFORM(<<)
MSL_UNIFORM(>>) MSL_UNIFORM(<) MSL_UNIFORM(>) MSL_UNIFORM(<=) MSL_UNIFORM(>=) MSL_UNIFORM(==) MSL_UNIFORM(!=)
#undef MSL_UNIFORM
}
