// simdgroup_matrix.h: 8 x 8 matrices spread over the lanes of a SIMD-group (MSL 2.4 and 6.7). Each lane holds two
// neighbouring elements of a row. Which ones is not in the specification; this is the layout that published kernels which
// use thread_elements() rely on.
#pragma once
#include "simd.h"

MSL_INLINE uint msl_matrix_row(uint lane) { return (lane / 4 & 4) + (lane / 2 & 3); }
MSL_INLINE uint msl_matrix_column(uint lane) { return (lane / 4 & 2) * 2 + (lane & 1) * 2; }
// The lane that holds (row, column) and (row, column ^ 1).
MSL_INLINE constexpr uint msl_matrix_lane(uint row, uint column) { return (row & 4) << 2 | (column & 4) << 1 | (row & 3) << 1 | (column >> 1 & 1); }

namespace metal {
template <class T, int Columns = 8, int Rows = Columns> struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup_matrix is 8 x 8");
  static_assert(is_floating_point_v<T>, "simdgroup_matrix is of half, bfloat or float");
  typedef vec<T, 2> storage_type;
  storage_type elements;
  simdgroup_matrix() = default;
  MSL_INLINE explicit simdgroup_matrix(T d) {
    uint row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane());
    elements[0] = row == column ? d : (T)0.0f;
    elements[1] = row == column + 1 ? d : (T)0.0f;
  }
  MSL_INLINE thread storage_type &thread_elements() { return elements; }
  MSL_INLINE thread const storage_type &thread_elements() const { return elements; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int Columns = 8, int Rows = Columns, class U> MSL_INLINE simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(U v) {
  simdgroup_matrix<T, Columns, Rows> m;
  m.elements = vec<T, 2>((T)v);
  return m;
}
template <class T, int Columns = 8, int Rows = Columns, class U> MSL_INLINE simdgroup_matrix<T, Columns, Rows> make_diagonal_simdgroup_matrix(U v) {
  return simdgroup_matrix<T, Columns, Rows>((T)v);
}

// Loads and stores. Each lane moves its own two elements; the exchange only makes sure that all lanes are there.
MSL_INLINE ulong msl_matrix_offset(uint row, uint column, ulong stride, ulong2 origin, bool transposed) {
  return transposed ? (origin.x + row) + (origin.y + column) * stride : (origin.y + row) * stride + origin.x + column;
}
#define MSL_MATRIX_LOAD(SPACE) \
  template <class T, class U> MSL_INLINE void simdgroup_load(thread simdgroup_matrix<T, 8, 8> &m, SPACE U *p, ulong elements_per_row = 8, ulong2 origin = ulong2(0), bool transpose_matrix = false) { \
    static_assert(is_same_v<remove_cv_t<U>, T>, "simdgroup_load: element types differ"); \
    uint row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane()); \
    for (uint i = 0; i < 2; i++) m.elements[i] = p[msl_matrix_offset(row, column + i, elements_per_row, origin, transpose_matrix)]; \
    msl_give(0); \
  }
#define MSL_MATRIX_STORE(SPACE) \
  template <class T> MSL_INLINE void simdgroup_store(simdgroup_matrix<T, 8, 8> m, SPACE T *p, ulong elements_per_row = 8, ulong2 origin = ulong2(0), bool transpose_matrix = false) { \
    uint row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane()); \
    for (uint i = 0; i < 2; i++) p[msl_matrix_offset(row, column + i, elements_per_row, origin, transpose_matrix)] = m.elements[i]; \
    msl_give(0); \
  }
MSL_MATRIX_LOAD(const device) MSL_MATRIX_LOAD(const threadgroup) MSL_MATRIX_LOAD(constant)
MSL_MATRIX_STORE(device) MSL_MATRIX_STORE(threadgroup)
#undef MSL_MATRIX_LOAD
#undef MSL_MATRIX_STORE

// d = a b + c, accumulated in float. The first lane multiplies for all.
struct msl_matrix_result { float d[8][8]; };
struct msl_matrix_elements { float a[2], b[2], c[2]; };
template <class D, class A, class B, class C>
MSL_INLINE void simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8> &d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b, simdgroup_matrix<C, 8, 8> c) {
  auto lanes = msl_give(msl_matrix_elements{{(float)a.elements[0], (float)a.elements[1]}, {(float)b.elements[0], (float)b.elements[1]}, {(float)c.elements[0], (float)c.elements[1]}});
  if (!lanes.e->done) {
    float fa[8][8], fb[8][8];
    msl_matrix_result fd;
    for (uint lane = 0; lane < 32; lane++) {
      auto e = lanes.at<msl_matrix_elements>(lane);
      uint row = msl_matrix_row(lane), column = msl_matrix_column(lane);
      for (uint i = 0; i < 2; i++) {
        fa[row][column + i] = e.a[i];
        fb[row][column + i] = e.b[i];
        fd.d[row][column + i] = e.c[i];
      }
    }
    for (uint i = 0; i < 8; i++)
      for (uint k = 0; k < 8; k++)
        for (uint j = 0; j < 8; j++) fd.d[i][j] += fa[i][k] * fb[k][j];
    __builtin_memcpy(lanes.e->result, &fd, sizeof fd);
    lanes.e->done = 1;
  }
  uint row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane());
  float r[2];
  __builtin_memcpy(r, lanes.e->result + (row * 8 + column) * sizeof(float), sizeof r);
  d.elements[0] = (D)r[0];
  d.elements[1] = (D)r[1];
}
template <class D, class A, class B>
MSL_INLINE void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8> &d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<D, 8>(0.0f));
}
template <class T> MSL_INLINE simdgroup_matrix<T, 8, 8> operator*(simdgroup_matrix<T, 8, 8> a, simdgroup_matrix<T, 8, 8> b) {
  simdgroup_matrix<T, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}
}
