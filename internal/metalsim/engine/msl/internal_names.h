// internal_names.h: names of Apple's compiler that published kernels call directly (MLX defines its bfloat16 math on them).
// The last argument selects the math mode, which the simulator does not model.
#pragma once
#include "simd.h"

namespace metal {
template <class... B> using _disjunction = bool_constant<(... || B::value)>;
template <class T> struct vec_elements : integral_constant<int, msl_vector<T>::size ? msl_vector<T>::size : 1> {};
}
// What SIMD-group functions take.
template <class T> struct __is_valid_simdgroup_type : metal::bool_constant<!__is_same(typename msl_vector<T>::element, bool) && (__is_arithmetic(typename msl_vector<T>::element) || __is_same(typename msl_vector<T>::element, half) || __is_same(typename msl_vector<T>::element, bfloat))> {};

#define __METAL_MAYBE_FAST_MATH__ 0
#define __METAL_FAST_MATH__ 1
#define __METAL_PRECISE_MATH__ 2
#define MSL_FORWARD(name) \
  template <class... M> MSL_INLINE float __metal_##name(float x, M...) { return metal::name(x); }
MSL_FORWARD(acos) MSL_FORWARD(acosh) MSL_FORWARD(asin) MSL_FORWARD(asinh) MSL_FORWARD(atan) MSL_FORWARD(atanh) MSL_FORWARD(ceil)
MSL_FORWARD(cos) MSL_FORWARD(cosh) MSL_FORWARD(cospi) MSL_FORWARD(exp) MSL_FORWARD(exp10) MSL_FORWARD(exp2) MSL_FORWARD(fabs)
MSL_FORWARD(floor) MSL_FORWARD(fract) MSL_FORWARD(log) MSL_FORWARD(log10) MSL_FORWARD(log2) MSL_FORWARD(rint) MSL_FORWARD(round)
MSL_FORWARD(rsqrt) MSL_FORWARD(saturate) MSL_FORWARD(sin) MSL_FORWARD(sinh) MSL_FORWARD(sinpi) MSL_FORWARD(sqrt) MSL_FORWARD(tan)
MSL_FORWARD(tanh) MSL_FORWARD(tanpi) MSL_FORWARD(trunc)
#undef MSL_FORWARD
#define MSL_FORWARD(name) \
  template <class... M> MSL_INLINE float __metal_##name(float x, float y, M...) { return metal::name(x, y); }
MSL_FORWARD(atan2) MSL_FORWARD(copysign) MSL_FORWARD(divide) MSL_FORWARD(fdim) MSL_FORWARD(fmax) MSL_FORWARD(fmin)
MSL_FORWARD(fmod) MSL_FORWARD(nextafter) MSL_FORWARD(pow) MSL_FORWARD(powr)
#undef MSL_FORWARD
#define MSL_FORWARD(name, target) \
  template <class... M> MSL_INLINE float __metal_##name(float x, float y, float z, M...) { return metal::target(x, y, z); }
MSL_FORWARD(fma, fma) MSL_FORWARD(fmax3, fmax3) MSL_FORWARD(fmin3, fmin3) MSL_FORWARD(fmedian3, fmedian3) MSL_FORWARD(clamp, clamp)
#undef MSL_FORWARD
#define MSL_FORWARD(name) \
  template <class... M> MSL_INLINE bool __metal_##name(float x, M...) { return metal::name(x); }
MSL_FORWARD(isfinite) MSL_FORWARD(isinf) MSL_FORWARD(isnan) MSL_FORWARD(isnormal) MSL_FORWARD(signbit)
#undef MSL_FORWARD
template <class... M> MSL_INLINE bool __metal_isordered(float x, float y, M...) { return metal::isordered(x, y); }
template <class... M> MSL_INLINE bool __metal_isunordered(float x, float y, M...) { return metal::isunordered(x, y); }
template <class... M> MSL_INLINE float __metal_ldexp(float x, int e, M...) { return metal::ldexp(x, e); }
template <class... M> MSL_INLINE float __metal_frexp(float x, thread int *e, M...) { return metal::frexp(x, *e); }
template <class... M> MSL_INLINE int __metal_ilogb(float x, M...) { return metal::ilogb(x); }
template <class... M> MSL_INLINE float __metal_modf(float x, thread float *whole, M...) { return metal::modf(x, *whole); }
template <class... M> MSL_INLINE float __metal_sincos(float x, thread float *c, M...) { return metal::sincos(x, *c); }
template <class T> MSL_INLINE ushort __metal_get_thread_index_in_simdgroup(T) { return msl_current->lane; }
template <class T> MSL_INLINE ushort __metal_get_simdgroup_size(T) { return 32; }
#define MSL_FORWARD(name) \
  template <class T, class... A> MSL_INLINE T __metal_##name(T x, A... a) { return metal::name(x, a...); }
MSL_FORWARD(simd_sum) MSL_FORWARD(simd_product) MSL_FORWARD(simd_min) MSL_FORWARD(simd_max)
MSL_FORWARD(simd_prefix_inclusive_sum) MSL_FORWARD(simd_prefix_exclusive_sum)
MSL_FORWARD(simd_prefix_inclusive_product) MSL_FORWARD(simd_prefix_exclusive_product) MSL_FORWARD(simd_shuffle)
MSL_FORWARD(simd_shuffle_up) MSL_FORWARD(simd_shuffle_down) MSL_FORWARD(simd_shuffle_xor) MSL_FORWARD(simd_broadcast)
MSL_FORWARD(simd_broadcast_first) MSL_FORWARD(simd_shuffle_rotate_up) MSL_FORWARD(simd_shuffle_rotate_down)
MSL_FORWARD(quad_sum) MSL_FORWARD(quad_shuffle) MSL_FORWARD(quad_shuffle_xor) MSL_FORWARD(quad_broadcast)
#undef MSL_FORWARD
// The bitwise reductions take float, too: of its bits.
#define MSL_FORWARD(name) \
  template <class T> MSL_INLINE T __metal_##name(T x) { \
    if constexpr (__is_integral(T)) return metal::name(x); \
    else return metal::as_type<T>(metal::name(metal::as_type<uint>(x))); \
  }
MSL_FORWARD(simd_and) MSL_FORWARD(simd_or) MSL_FORWARD(simd_xor)
#undef MSL_FORWARD
template <class T> MSL_INLINE T __metal_simd_shuffle_and_fill_up(T x, T fill, ushort delta, ushort modulo = 32) { return metal::simd_shuffle_and_fill_up(x, fill, delta, modulo); }
template <class T> MSL_INLINE T __metal_simd_shuffle_and_fill_down(T x, T fill, ushort delta, ushort modulo = 32) { return metal::simd_shuffle_and_fill_down(x, fill, delta, modulo); }
