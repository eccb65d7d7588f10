// matrix.h: metal_matrix (MSL 2.3 and 6.9), column by column, and metal::array (2.13).
#pragma once
#include "integer.h"

namespace metal {
template <class T, int C, int R> struct matrix {
  vec<T, R> columns[C];
  matrix() = default;
  matrix(const matrix &) = default;
  matrix &operator=(const matrix &) = default;
  MSL_INLINE constexpr explicit matrix(T d) : columns{} {
    for (int i = 0; i < C && i < R; i++) columns[i][i] = d;
  }
  template <class... A, class = enable_if_t<sizeof...(A) + 1 == C && (__is_same(A, vec<T, R>) && ...)>>
  MSL_INLINE constexpr matrix(vec<T, R> first, A... rest) : columns{first, rest...} {}
  // From C * R scalars, columns first.
  template <class... A, class = enable_if_t<sizeof...(A) + 2 == C * R && (is_arithmetic_v<A> && ...)>, class = void>
  MSL_INLINE constexpr matrix(T a, T b, A... rest) : columns{} {
    T all[] = {a, b, (T)rest...};
    for (int i = 0; i < C * R; i++) columns[i / R][i % R] = all[i];
  }
  template <class U> MSL_INLINE constexpr explicit matrix(const matrix<U, C, R> &o) : columns{} {
    for (int i = 0; i < C; i++) columns[i] = msl_make<vec<T, R>>(o.columns[i]);
  }
  MSL_INLINE constexpr vec<T, R> &operator[](int i) { return columns[i]; }
  MSL_INLINE constexpr const vec<T, R> &operator[](int i) const { return columns[i]; }
};
#define MSL_ELEMENTWISE(op) \
  template <class T, int C, int R> MSL_INLINE matrix<T, C, R> operator op(const matrix<T, C, R> &a, const matrix<T, C, R> &b) { \
    matrix<T, C, R> r; \
    for (int i = 0; i < C; i++) r[i] = a[i] op b[i]; \
    return r; \
  } \
  template <class T, int C, int R> MSL_INLINE matrix<T, C, R> &operator op##=(matrix<T, C, R> &a, const matrix<T, C, R> &b) { return a = a op b; }
MSL_ELEMENTWISE(+) MSL_ELEMENTWISE(-)
#undef MSL_ELEMENTWISE
template <class T, int C, int R> MSL_INLINE matrix<T, C, R> operator*(const matrix<T, C, R> &a, typename remove_cv<T>::type s) {
  matrix<T, C, R> r;
  for (int i = 0; i < C; i++) r[i] = a[i] * s;
  return r;
}
template <class T, int C, int R> MSL_INLINE matrix<T, C, R> operator*(typename remove_cv<T>::type s, const matrix<T, C, R> &a) { return a * s; }
template <class T, int C, int R> MSL_INLINE matrix<T, C, R> &operator*=(matrix<T, C, R> &a, typename remove_cv<T>::type s) { return a = a * s; }
template <class T, int C, int R> MSL_INLINE vec<T, R> operator*(const matrix<T, C, R> &m, vec<T, C> v) {
  vec<T, R> r = m[0] * v[0];
  for (int i = 1; i < C; i++) r += m[i] * v[i];
  return r;
}
template <class T, int C, int R> MSL_INLINE vec<T, C> operator*(vec<T, R> v, const matrix<T, C, R> &m) {
  vec<T, C> r;
  for (int i = 0; i < C; i++) r[i] = dot(v, m[i]);
  return r;
}
template <class T, int K, int C, int R> MSL_INLINE matrix<T, C, R> operator*(const matrix<T, K, R> &a, const matrix<T, C, K> &b) {
  matrix<T, C, R> r;
  for (int i = 0; i < C; i++) r[i] = a * b[i];
  return r;
}
template <class T, int C, int R> MSL_INLINE bool operator==(const matrix<T, C, R> &a, const matrix<T, C, R> &b) {
  bool r = true;
  for (int i = 0; i < C; i++) r = r && all(a[i] == b[i]);
  return r;
}
template <class T, int C, int R> MSL_INLINE matrix<T, R, C> transpose(const matrix<T, C, R> &m) {
  matrix<T, R, C> r;
  for (int i = 0; i < C; i++)
    for (int j = 0; j < R; j++) r[j][i] = m[i][j];
  return r;
}
template <class T> MSL_INLINE T determinant(const matrix<T, 2, 2> &m) { return (T)(m[0][0] * m[1][1] - m[1][0] * m[0][1]); }
template <class T> MSL_INLINE T determinant(const matrix<T, 3, 3> &m) { return dot(m[0], cross(m[1], m[2])); }
template <class T> MSL_INLINE T determinant(const matrix<T, 4, 4> &m) {
  T r = (T)0.0f;
  for (int c = 0; c < 4; c++) {
    matrix<T, 3, 3> minor;
    for (int i = 0, k = 0; i < 4; i++) {
      if (i == c) continue;
      for (int j = 1; j < 4; j++) minor[k][j - 1] = m[i][j];
      k++;
    }
    r = (T)(r + (c % 2 ? -m[c][0] : m[c][0]) * determinant(minor));
  }
  return r;
}
#define MSL_MATRIX(T, C) typedef matrix<T, C, 2> T##C##x2; typedef matrix<T, C, 3> T##C##x3; typedef matrix<T, C, 4> T##C##x4;
MSL_MATRIX(float, 2) MSL_MATRIX(float, 3) MSL_MATRIX(float, 4) MSL_MATRIX(half, 2) MSL_MATRIX(half, 3) MSL_MATRIX(half, 4)
MSL_MATRIX(bfloat, 2) MSL_MATRIX(bfloat, 3) MSL_MATRIX(bfloat, 4)
#undef MSL_MATRIX

template <class T, size_t N> struct array {
  T elements_[N];
  MSL_INLINE constexpr T &operator[](size_t i) { return elements_[i]; }
  MSL_INLINE constexpr const T &operator[](size_t i) const { return elements_[i]; }
  MSL_INLINE constexpr T &front() { return elements_[0]; }
  MSL_INLINE constexpr T &back() { return elements_[N - 1]; }
  MSL_INLINE constexpr T *data() { return elements_; }
  MSL_INLINE constexpr const T *data() const { return elements_; }
  MSL_INLINE constexpr T *begin() { return elements_; }
  MSL_INLINE constexpr T *end() { return elements_ + N; }
  MSL_INLINE constexpr const T *begin() const { return elements_; }
  MSL_INLINE constexpr const T *end() const { return elements_ + N; }
  static constexpr size_t size() { return N; }
  static constexpr bool empty() { return N == 0; }
  MSL_INLINE constexpr void fill(const T &v) {
    for (size_t i = 0; i < N; i++) elements_[i] = v;
  }
};
}
using metal::float2x2; using metal::float2x3; using metal::float2x4; using metal::float3x2; using metal::float3x3;
using metal::float3x4; using metal::float4x2; using metal::float4x3; using metal::float4x4; using metal::half2x2;
using metal::half2x3; using metal::half2x4; using metal::half3x2; using metal::half3x3; using metal::half3x4;
using metal::half4x2; using metal::half4x3; using metal::half4x4;
