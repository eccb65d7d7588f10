// traits.h: type traits and numeric limits (MSL specification, 6.2 and 6.13).
#pragma once
#include "types.h"

namespace metal {
template <class T, T v> struct integral_constant {
  static constexpr T value = v;
  typedef T value_type;
  typedef integral_constant type;
  constexpr operator T() const { return v; }
  constexpr T operator()() const { return v; }
};
template <bool b> using bool_constant = integral_constant<bool, b>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;

template <class A, class B> struct is_same : false_type {};
template <class A> struct is_same<A, A> : true_type {};
template <bool B, class T = void> struct enable_if {};
template <class T> struct enable_if<true, T> { typedef T type; };
template <bool B, class T, class F> struct conditional { typedef T type; };
template <class T, class F> struct conditional<false, T, F> { typedef F type; };
template <class T> struct remove_reference { typedef T type; };
template <class T> struct remove_reference<T &> { typedef T type; };
template <class T> struct remove_reference<T &&> { typedef T type; };
template <class T> struct remove_const { typedef __remove_const(T) type; };
template <class T> struct remove_volatile { typedef __remove_volatile(T) type; };
template <class T> struct remove_cv { typedef __remove_cv(T) type; };
template <class T> struct add_const { typedef const T type; };
template <class T> struct remove_addrspace { typedef T type; };
template <class T> struct remove_addrspace<device T> { typedef T type; };
template <class T> struct remove_addrspace<MSL_CONSTANT_SPACE T> { typedef T type; };
template <class T> struct remove_addrspace<threadgroup T> { typedef T type; };
template <class T> struct remove_pointer { typedef T type; };
template <class T> struct remove_pointer<T *> { typedef T type; };
template <class T> struct remove_extent { typedef T type; };
template <class T, unsigned long N> struct remove_extent<T[N]> { typedef T type; };
template <class T> struct decay { typedef typename remove_cv<typename remove_reference<T>::type>::type type; };
template <bool B, class T = void> using enable_if_t = typename enable_if<B, T>::type;
template <bool B, class T, class F> using conditional_t = typename conditional<B, T, F>::type;
template <class T> using remove_reference_t = typename remove_reference<T>::type;
template <class T> using remove_const_t = __remove_const(T);
template <class T> using remove_volatile_t = __remove_volatile(T);
template <class T> using remove_cv_t = __remove_cv(T);
template <class T> using add_const_t = const T;
template <class T> using remove_addrspace_t = typename remove_addrspace<T>::type;
template <class T> using remove_pointer_t = typename remove_pointer<T>::type;
template <class T> using remove_extent_t = typename remove_extent<T>::type;
template <class T> using decay_t = typename decay<T>::type;
template <class T> T &&declval() noexcept;
typedef decltype(nullptr) nullptr_t;

// Each MSL trait is a struct with a `_v` twin.
#define MSL_TRAIT(name, ...) \
  template <class T> struct name : bool_constant<__VA_ARGS__> {}; \
  template <class T> inline constexpr bool name##_v = name<T>::value;
template <class T> struct is_pointer : false_type {};
template <class T> struct is_pointer<T *> : true_type {};
template <class T> inline constexpr bool is_pointer_v = is_pointer<T>::value;
template <class A, class B> inline constexpr bool is_same_v = is_same<A, B>::value;
template <class F, class T> struct is_convertible : bool_constant<__is_convertible(F, T)> {};
template <class F, class T> inline constexpr bool is_convertible_v = __is_convertible(F, T);
template <class B, class D> struct is_base_of : bool_constant<__is_base_of(B, D)> {};
template <class B, class D> inline constexpr bool is_base_of_v = __is_base_of(B, D);
MSL_TRAIT(is_void, is_same_v<__remove_cv(T), void>)
MSL_TRAIT(is_integral, __is_integral(T))
MSL_TRAIT(is_floating_point, __is_floating_point(T) || is_same_v<__remove_cv(T), half> || is_same_v<__remove_cv(T), bfloat>)
MSL_TRAIT(is_arithmetic, is_integral_v<T> || is_floating_point_v<T>)
MSL_TRAIT(is_enum, __is_enum(T))
MSL_TRAIT(is_scalar, is_arithmetic_v<T> || __is_enum(T) || is_pointer_v<T>)
MSL_TRAIT(is_class, __is_class(T))
MSL_TRAIT(is_union, __is_union(T))
MSL_TRAIT(is_const, __is_const(T))
MSL_TRAIT(is_array, __is_array(T))
MSL_TRAIT(is_reference, __is_reference(T))
MSL_TRAIT(is_signed, is_floating_point_v<T> || __is_signed(T))
MSL_TRAIT(is_unsigned, __is_unsigned(T))
MSL_TRAIT(is_trivially_copyable, __is_trivially_copyable(T))
MSL_TRAIT(is_vector, (msl_vector<__remove_cv(T)>::size > 0))
#undef MSL_TRAIT

template <class T> struct make_scalar { typedef T type; };
template <class T, int N> struct make_scalar<vec<T, N>> { typedef T type; };
template <int N> struct make_scalar<msl_bools<N>> { typedef bool type; };
template <class T> using make_scalar_t = typename make_scalar<T>::type;
template <class T, int N> struct make_vec { typedef vec<T, N> type; };
template <int N> struct make_vec<bool, N> { typedef msl_bools<N> type; };
template <class T, int N> using make_vec_t = typename make_vec<T, N>::type;
template <class T> using vec_element_t = typename msl_vector<T>::element;

template <class T> struct make_unsigned { typedef T type; };
template <class T> struct make_signed { typedef T type; };
#define MSL_SIGN(S, U) \
  template <> struct make_unsigned<S> { typedef U type; }; \
  template <> struct make_signed<U> { typedef S type; };
MSL_SIGN(char, uchar) MSL_SIGN(short, ushort) MSL_SIGN(int, uint) MSL_SIGN(long, ulong)
#undef MSL_SIGN
template <class T, int N> struct make_unsigned<vec<T, N>> { typedef vec<typename make_unsigned<T>::type, N> type; };
template <class T, int N> struct make_signed<vec<T, N>> { typedef vec<typename make_signed<T>::type, N> type; };
template <class T> using make_unsigned_t = typename make_unsigned<T>::type;
template <class T> using make_signed_t = typename make_signed<T>::type;

template <class T> struct _numeric_limits_impl {
  static constexpr bool is_specialized = __is_integral(T);
  static constexpr bool is_signed = __is_signed(T);
  static constexpr bool is_integer = __is_integral(T);
  static constexpr bool is_exact = true;
  static constexpr bool has_infinity = false;
  static constexpr int radix = 2;
  static constexpr int digits = __is_same(T, bool) ? 1 : sizeof(T) * 8 - is_signed;
  static constexpr T max() { return T(~0ull >> (64 - digits)); }
  static constexpr T min() { return is_signed ? T(-max() - 1) : T(0); }
  static constexpr T lowest() { return min(); }
};
#define MSL_LIMITS(T, D, MAX, MIN, EPS) \
  template <> struct _numeric_limits_impl<T> { \
    static constexpr bool is_specialized = true, is_signed = true, is_integer = false, is_exact = false; \
    static constexpr bool has_infinity = true, has_quiet_NaN = true; \
    static constexpr int radix = 2, digits = D; \
    static constexpr T max() { return MAX; } \
    static constexpr T lowest() { return -MAX; } \
    static constexpr T min() { return MIN; } \
    static constexpr T epsilon() { return EPS; } \
    static constexpr T round_error() { return (T)0.5f; } \
    static constexpr T infinity() { return (T)__builtin_inff(); } \
    static constexpr T quiet_NaN() { return (T)__builtin_nanf(""); } \
    static constexpr T signaling_NaN() { return (T)__builtin_nanf(""); } \
  };
MSL_LIMITS(float, 24, 3.402823466e+38f, 1.175494351e-38f, 1.192092896e-07f)
MSL_LIMITS(half, 11, (half)65504.f, (half)6.103515625e-05f, (half)9.765625e-04f)
MSL_LIMITS(bfloat, 8, (bfloat)3.3895313892515355e38f, (bfloat)1.175494351e-38f, (bfloat)0.0078125f)
#undef MSL_LIMITS
template <class T> struct numeric_limits : _numeric_limits_impl<__remove_cv(T)> {};
}
