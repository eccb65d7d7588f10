// math.h: metal_math (MSL 6.5), metal_common (6.3), metal_relational (6.6) and metal_geometric (6.8), for float and half
// (Metal has none of them for bfloat). Every function is computed in float and rounded once. metal::fast and
// metal::precise are the same functions: the simulator does not model the reduced precision of fast math.
#pragma once
#include "construct.h"

namespace metal {

// f(x) for scalars of each floating type and for vectors, element by element. `expr` is in terms of float x (and y, z).
#define MSL_SIZES(M, T, name) M(T, 2, name) M(T, 3, name) M(T, 4, name)
#define MSL_VECTOR_1(T, N, name) \
  MSL_INLINE T##N name(T##N a) { T##N r; for (int i = 0; i < N; i++) r[i] = name(a[i]); return r; }
#define MSL_VECTOR_2(T, N, name) \
  MSL_INLINE T##N name(T##N a, T##N b) { T##N r; for (int i = 0; i < N; i++) r[i] = name(a[i], b[i]); return r; }
#define MSL_VECTOR_3(T, N, name) \
  MSL_INLINE T##N name(T##N a, T##N b, T##N c) { T##N r; for (int i = 0; i < N; i++) r[i] = name(a[i], b[i], c[i]); return r; }

#define MSL_FUNCTION_1(name, expr) \
  MSL_INLINE float name(float x) { return expr; } \
  MSL_INLINE half name(half h) { float x = h; return (half)(expr); } \
  template <class T, class = enable_if_t<__is_integral(T)>> MSL_INLINE float name(T t) { return name((float)t); } \
  MSL_SIZES(MSL_VECTOR_1, float, name) MSL_SIZES(MSL_VECTOR_1, half, name)
#define MSL_FUNCTION_2(name, expr) \
  MSL_INLINE float name(float x, float y) { return expr; } \
  MSL_INLINE half name(half a, half b) { float x = a, y = b; return (half)(expr); } \
  MSL_SIZES(MSL_VECTOR_2, float, name) MSL_SIZES(MSL_VECTOR_2, half, name)
#define MSL_FUNCTION_3(name, expr) \
  MSL_INLINE float name(float x, float y, float z) { return expr; } \
  MSL_INLINE half name(half a, half b, half c) { float x = a, y = b, z = c; return (half)(expr); } \
  MSL_SIZES(MSL_VECTOR_3, float, name) MSL_SIZES(MSL_VECTOR_3, half, name)

MSL_FUNCTION_1(acos, __builtin_acosf(x))
MSL_FUNCTION_1(acosh, __builtin_acoshf(x))
MSL_FUNCTION_1(asin, __builtin_asinf(x))
MSL_FUNCTION_1(asinh, __builtin_asinhf(x))
MSL_FUNCTION_1(atan, __builtin_atanf(x))
MSL_FUNCTION_1(atanh, __builtin_atanhf(x))
MSL_FUNCTION_1(ceil, __builtin_ceilf(x))
MSL_FUNCTION_1(cos, __builtin_cosf(x))
MSL_FUNCTION_1(cosh, __builtin_coshf(x))
MSL_FUNCTION_1(cospi, __builtin_cosf(3.14159265358979323846f * __builtin_fmodf(x, 2.0f)))
MSL_FUNCTION_1(exp, __builtin_expf(x))
MSL_FUNCTION_1(exp2, __builtin_exp2f(x))
MSL_FUNCTION_1(exp10, __builtin_powf(10.0f, x))
MSL_FUNCTION_1(fabs, __builtin_fabsf(x))
MSL_FUNCTION_1(floor, __builtin_floorf(x))
MSL_FUNCTION_1(fract, __builtin_fminf(x - __builtin_floorf(x), 0x1.fffffep-1f))
MSL_FUNCTION_1(log, __builtin_logf(x))
MSL_FUNCTION_1(log2, __builtin_log2f(x))
MSL_FUNCTION_1(log10, __builtin_log10f(x))
MSL_FUNCTION_1(rint, __builtin_rintf(x))
MSL_FUNCTION_1(round, __builtin_roundf(x))
MSL_FUNCTION_1(rsqrt, 1.0f / __builtin_sqrtf(x))
MSL_FUNCTION_1(sin, __builtin_sinf(x))
MSL_FUNCTION_1(sinh, __builtin_sinhf(x))
MSL_FUNCTION_1(sinpi, __builtin_sinf(3.14159265358979323846f * __builtin_fmodf(x, 2.0f)))
MSL_FUNCTION_1(sqrt, __builtin_sqrtf(x))
MSL_FUNCTION_1(tan, __builtin_tanf(x))
MSL_FUNCTION_1(tanh, __builtin_tanhf(x))
MSL_FUNCTION_1(tanpi, __builtin_tanf(3.14159265358979323846f * __builtin_fmodf(x, 1.0f)))
MSL_FUNCTION_1(trunc, __builtin_truncf(x))
MSL_FUNCTION_2(atan2, __builtin_atan2f(x, y))
MSL_FUNCTION_2(copysign, __builtin_copysignf(x, y))
MSL_FUNCTION_2(fdim, x > y ? x - y : x != x || y != y ? __builtin_nanf("") : 0.0f)
MSL_FUNCTION_2(fmax, __builtin_fmaxf(x, y))
MSL_FUNCTION_2(fmin, __builtin_fminf(x, y))
MSL_FUNCTION_2(fmod, __builtin_fmodf(x, y))
MSL_FUNCTION_2(pow, __builtin_powf(x, y))
MSL_FUNCTION_2(powr, x < 0.0f ? __builtin_nanf("") : __builtin_powf(x, y))
MSL_FUNCTION_3(fma, __builtin_fmaf(x, y, z))
MSL_FUNCTION_3(fmax3, __builtin_fmaxf(__builtin_fmaxf(x, y), z))
MSL_FUNCTION_3(fmin3, __builtin_fminf(__builtin_fminf(x, y), z))
MSL_FUNCTION_3(fmedian3, __builtin_fmaxf(__builtin_fminf(x, y), __builtin_fminf(__builtin_fmaxf(x, y), z)))
MSL_INLINE float divide(float x, float y) { return x / y; }

// abs, min, max, clamp and their kin exist for every arithmetic type; for floating types they are the f-functions.
#define MSL_ORDER_SCALAR(T) \
  MSL_INLINE constexpr T min(T a, T b) { return b < a ? b : a; } \
  MSL_INLINE constexpr T max(T a, T b) { return a < b ? b : a; } \
  MSL_INLINE constexpr T min3(T a, T b, T c) { return min(min(a, b), c); } \
  MSL_INLINE constexpr T max3(T a, T b, T c) { return max(max(a, b), c); } \
  MSL_INLINE constexpr T median3(T a, T b, T c) { return max(min(a, b), min(max(a, b), c)); } \
  MSL_INLINE constexpr T clamp(T x, T low, T high) { return min(max(x, low), high); }
MSL_INTEGERS(MSL_ORDER_SCALAR)
#undef MSL_ORDER_SCALAR
// A NaN argument loses, as the specification says of fmin and fmax.
#define MSL_ORDER_FLOAT(T) \
  MSL_INLINE constexpr T min(T a, T b) { return b < a || a != a ? b : a; } \
  MSL_INLINE constexpr T max(T a, T b) { return a < b || a != a ? b : a; } \
  MSL_INLINE constexpr T min3(T a, T b, T c) { return min(min(a, b), c); } \
  MSL_INLINE constexpr T max3(T a, T b, T c) { return max(max(a, b), c); } \
  MSL_INLINE constexpr T median3(T a, T b, T c) { return max(min(a, b), min(max(a, b), c)); } \
  MSL_INLINE constexpr T clamp(T x, T low, T high) { return min(max(x, low), high); } \
  MSL_INLINE constexpr T abs(T a) { return (T)__builtin_fabsf((float)a); } \
  MSL_INLINE constexpr T sign(T a) { return a > (T)0.0f ? (T)1.0f : a < (T)0.0f ? (T)-1.0f : a == a ? a : (T)0.0f; } \
  MSL_INLINE constexpr T saturate(T a) { return clamp(a, (T)0.0f, (T)1.0f); } \
  MSL_INLINE constexpr T mix(T x, T y, T a) { return (T)(x + (y - x) * a); } \
  MSL_INLINE constexpr T step(T edge, T x) { return x < edge ? (T)0.0f : (T)1.0f; } \
  MSL_INLINE T smoothstep(T e0, T e1, T x) { T t = saturate((T)((x - e0) / (e1 - e0))); return (T)(t * t * ((T)3.0f - (T)2.0f * t)); }
MSL_ORDER_FLOAT(half) MSL_ORDER_FLOAT(float)
#undef MSL_ORDER_FLOAT
#define MSL_ORDER_VECTOR(T) \
  MSL_SIZES(MSL_VECTOR_2, T, min) MSL_SIZES(MSL_VECTOR_2, T, max) MSL_SIZES(MSL_VECTOR_3, T, min3) \
  MSL_SIZES(MSL_VECTOR_3, T, max3) MSL_SIZES(MSL_VECTOR_3, T, median3) MSL_SIZES(MSL_VECTOR_3, T, clamp)
MSL_INTEGERS(MSL_ORDER_VECTOR)
MSL_ORDER_VECTOR(half) MSL_ORDER_VECTOR(float)
#undef MSL_ORDER_VECTOR
#define MSL_COMMON_VECTOR(T) \
  MSL_SIZES(MSL_VECTOR_1, T, abs) MSL_SIZES(MSL_VECTOR_1, T, sign) MSL_SIZES(MSL_VECTOR_1, T, saturate) \
  MSL_SIZES(MSL_VECTOR_3, T, mix) MSL_SIZES(MSL_VECTOR_2, T, step) MSL_SIZES(MSL_VECTOR_3, T, smoothstep)
MSL_COMMON_VECTOR(half) MSL_COMMON_VECTOR(float)
#undef MSL_COMMON_VECTOR

// Exponent and mantissa.
MSL_INLINE float ldexp(float x, int e) { return __builtin_ldexpf(x, e); }
MSL_INLINE half ldexp(half x, int e) { return (half)__builtin_ldexpf((float)x, e); }
MSL_INLINE int ilogb(float x) { return __builtin_ilogbf(x); }
MSL_INLINE int ilogb(half x) { return __builtin_ilogbf((float)x); }
MSL_INLINE float nextafter(float x, float y) { return __builtin_nextafterf(x, y); }
#define MSL_OUT_PARAMETERS(T) \
  MSL_INLINE T frexp(T x, thread int &e) { int k; T r = (T)__builtin_frexpf((float)x, &k); e = k; return r; } \
  MSL_INLINE T modf(T x, thread T &whole) { whole = (T)__builtin_truncf((float)x); return (T)__builtin_copysignf((float)x - (float)whole, (float)x); } \
  MSL_INLINE T sincos(T x, thread T &c) { c = cos(x); return sin(x); }
MSL_OUT_PARAMETERS(half) MSL_OUT_PARAMETERS(float)
#undef MSL_OUT_PARAMETERS
#define MSL_OUT_VECTORS(T, N, name) \
  MSL_INLINE T##N frexp(T##N x, thread int##N &e) { T##N r; for (int i = 0; i < N; i++) { int k; r[i] = frexp(x[i], k); e[i] = k; } return r; } \
  MSL_INLINE T##N modf(T##N x, thread T##N &whole) { T##N r; for (int i = 0; i < N; i++) { T w; r[i] = modf(x[i], w); whole[i] = w; } return r; }
MSL_SIZES(MSL_OUT_VECTORS, float, ) MSL_SIZES(MSL_OUT_VECTORS, half, )
#undef MSL_OUT_VECTORS
#define MSL_SINCOS(T, N, name) \
  MSL_INLINE T##N name(T##N x, thread T##N &c) { c = cos(x); return sin(x); }
MSL_SIZES(MSL_SINCOS, float, sincos) MSL_SIZES(MSL_SINCOS, half, sincos)
#undef MSL_SINCOS
#define MSL_LDEXP(T, N, name) \
  MSL_INLINE T##N name(T##N x, int##N e) { T##N r; for (int i = 0; i < N; i++) r[i] = name(x[i], e[i]); return r; }
MSL_SIZES(MSL_LDEXP, float, ldexp) MSL_SIZES(MSL_LDEXP, half, ldexp)
#undef MSL_LDEXP

// Relational functions. Vectors of booleans; any and all take integers as well, for the headers themselves.
#define MSL_TEST(name, expr) \
  MSL_INLINE bool name(float x) { return expr; } \
  MSL_INLINE bool name(half h) { float x = h; return expr; } \
  MSL_SIZES(MSL_TEST_VECTOR, float, name) MSL_SIZES(MSL_TEST_VECTOR, half, name)
#define MSL_TEST_VECTOR(T, N, name) \
  MSL_INLINE bool##N name(T##N a) { bool##N r; for (int i = 0; i < N; i++) r[i] = name(a[i]); return r; }
MSL_TEST(isnan, x != x)
MSL_TEST(isinf, __builtin_fabsf(x) == __builtin_inff())
MSL_TEST(isfinite, __builtin_fabsf(x) < __builtin_inff())
MSL_TEST(isnormal, __builtin_fabsf(x) < __builtin_inff() && __builtin_fabsf(x) >= 1.175494351e-38f)
MSL_TEST(signbit, __builtin_signbit(x) != 0)
#undef MSL_TEST
#undef MSL_TEST_VECTOR
MSL_INLINE bool isordered(float x, float y) { return x == x && y == y; }
MSL_INLINE bool isunordered(float x, float y) { return !(x == x && y == y); }
MSL_INLINE bool any(bool x) { return x; }
MSL_INLINE bool all(bool x) { return x; }
template <class T, int N> MSL_INLINE bool any(vec<T, N> v) { bool r = false; for (int i = 0; i < N; i++) r |= v[i] != 0; return r; }
template <class T, int N> MSL_INLINE bool all(vec<T, N> v) { bool r = true; for (int i = 0; i < N; i++) r &= v[i] != 0; return r; }
template <int N> MSL_INLINE bool any(msl_bools<N> v) { bool r = false; for (int i = 0; i < N; i++) r |= v[i]; return r; }
template <int N> MSL_INLINE bool all(msl_bools<N> v) { bool r = true; for (int i = 0; i < N; i++) r &= v[i]; return r; }
template <class T> MSL_INLINE T select(T a, T b, bool c) { return c ? b : a; }
template <class T, class C, int N> MSL_INLINE vec<T, N> select(vec<T, N> a, vec<T, N> b, vec<C, N> c) {
  vec<T, N> r;
  for (int i = 0; i < N; i++) r[i] = c[i] != 0 ? b[i] : a[i];
  return r;
}
template <class V, int N, class = enable_if_t<msl_vector<V>::size == N>> MSL_INLINE V select(V a, V b, msl_bools<N> c) {
  V r = a;
  for (int i = 0; i < N; i++)
    if (c[i]) r[i] = b[i];
  return r;
}

// Geometric functions.
template <class T, int N> MSL_INLINE T dot(vec<T, N> a, vec<T, N> b) {
  T r = (T)(a[0] * b[0]);
  for (int i = 1; i < N; i++) r = (T)(r + a[i] * b[i]);
  return r;
}
#define MSL_GEOMETRIC(T, N, name) \
  MSL_INLINE T length_squared(T##N a) { return dot(a, a); } \
  MSL_INLINE T length(T##N a) { return sqrt(dot(a, a)); } \
  MSL_INLINE T distance_squared(T##N a, T##N b) { return dot(a - b, a - b); } \
  MSL_INLINE T distance(T##N a, T##N b) { return length(a - b); } \
  MSL_INLINE T##N normalize(T##N a) { return a * rsqrt(dot(a, a)); } \
  MSL_INLINE T##N reflect(T##N i, T##N n) { return i - (T)2.0f * dot(n, i) * n; } \
  MSL_INLINE T##N faceforward(T##N n, T##N i, T##N r) { return dot(r, i) < (T)0.0f ? n : -n; } \
  MSL_INLINE T##N refract(T##N i, T##N n, T eta) { \
    T d = dot(n, i), k = (T)((T)1.0f - eta * eta * ((T)1.0f - d * d)); \
    return k < (T)0.0f ? T##N((T)0.0f) : eta * i - (eta * d + sqrt(k)) * n; \
  }
MSL_SIZES(MSL_GEOMETRIC, float, ) MSL_SIZES(MSL_GEOMETRIC, half, )
#undef MSL_GEOMETRIC
template <class T> MSL_INLINE vec<T, 3> cross(vec<T, 3> a, vec<T, 3> b) {
  return (vec<T, 3>){(T)(a.y * b.z - a.z * b.y), (T)(a.z * b.x - a.x * b.z), (T)(a.x * b.y - a.y * b.x)};
}

#define MSL_NAMES(M) \
  M(acos) M(acosh) M(asin) M(asinh) M(atan) M(atanh) M(atan2) M(ceil) M(copysign) M(cos) M(cosh) M(cospi) M(divide) M(exp) \
  M(exp2) M(exp10) M(fabs) M(abs) M(fdim) M(floor) M(fma) M(fmax) M(max) M(fmin) M(min) M(fmax3) M(max3) M(fmin3) M(min3) \
  M(fmedian3) M(median3) M(fmod) M(fract) M(frexp) M(ilogb) M(ldexp) M(log) M(log2) M(log10) M(modf) M(nextafter) M(pow) \
  M(powr) M(rint) M(round) M(rsqrt) M(sin) M(sincos) M(sinh) M(sinpi) M(sqrt) M(tan) M(tanh) M(tanpi) M(trunc) M(clamp) \
  M(mix) M(saturate) M(sign) M(smoothstep) M(step) M(dot) M(length) M(length_squared) M(distance) M(normalize) M(cross) \
  M(isnan) M(isinf) M(isfinite)
#define MSL_USING(name) using metal::name;
namespace fast { MSL_NAMES(MSL_USING) }
namespace precise { MSL_NAMES(MSL_USING) }
#undef MSL_USING
#undef MSL_NAMES
#undef MSL_FUNCTION_1
#undef MSL_FUNCTION_2
#undef MSL_FUNCTION_3
}
