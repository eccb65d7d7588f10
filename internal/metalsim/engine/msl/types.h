// types.h: scalar, vector and packed types and address spaces (MSL specification, chapters 2 and 4).
#pragma once
#include "abi.h"

// Address spaces. Clang's SYCL attributes keep the spaces apart in overloads and conversions, yet let member functions and
// copies of classes work in any of them (they go through the generic space, which `thread` is here).
#define device __attribute__((opencl_global))
#define threadgroup __attribute__((opencl_local))
#define MSL_CONSTANT_SPACE __attribute__((opencl_global_host))
#define constant MSL_CONSTANT_SPACE const
#define thread
#define MSL_INLINE inline __attribute__((always_inline))
#define METAL_FUNC MSL_INLINE
#define METAL_INTERNAL MSL_INLINE
#define METAL_CONST __attribute__((const))
#define METAL_PURE __attribute__((pure))
// Threadgroup variables live in a section of their own, where the engine finds them.
#define MSL_THREADGROUP_VARIABLE static __attribute__((section("msl_threadgroup")))
#define coherent(scope)
#define restrict __restrict__

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef char int8_t;
typedef uchar uint8_t;
typedef short int16_t;
typedef ushort uint16_t;
typedef int int32_t;
typedef uint uint32_t;
typedef long int64_t;
typedef ulong uint64_t;
typedef ulong size_t;
typedef long ptrdiff_t;
typedef ulong uintptr_t;
typedef long intptr_t;
typedef _Float16 half;
typedef __bf16 bfloat;

namespace metal {
template <class T, int N> using vec = T __attribute__((ext_vector_type(N)));
}

// Clang's vectors of bool are bit fields without swizzles. Booleans in vectors are bytes of a type of their own instead.
typedef signed char msl_bool;

#define MSL_SCALARS(M) \
  M(char) M(uchar) M(short) M(ushort) M(int) M(uint) M(long) M(ulong) M(half) M(bfloat) M(float)
#define MSL_INTEGERS(M) M(char) M(uchar) M(short) M(ushort) M(int) M(uint) M(long) M(ulong)
#define MSL_FLOATS(M) M(half) M(bfloat) M(float)

#define MSL_DEFINE(T) \
  typedef metal::vec<T, 2> T##2; \
  typedef metal::vec<T, 3> T##3; \
  typedef metal::vec<T, 4> T##4;
MSL_SCALARS(MSL_DEFINE)
#undef MSL_DEFINE
typedef metal::vec<msl_bool, 2> bool2;
typedef metal::vec<msl_bool, 3> bool3;
typedef metal::vec<msl_bool, 4> bool4;
namespace metal {
#define MSL_DEFINE(T) using ::T##2; using ::T##3; using ::T##4;
MSL_SCALARS(MSL_DEFINE) MSL_DEFINE(bool)
#undef MSL_DEFINE
using ::uchar; using ::ushort; using ::uint; using ::ulong; using ::half; using ::bfloat; using ::size_t; using ::ptrdiff_t;
using ::int8_t; using ::uint8_t; using ::int16_t; using ::uint16_t; using ::int32_t; using ::uint32_t; using ::int64_t; using ::uint64_t;
using ::uintptr_t; using ::intptr_t;
}

// Element type and count of a vector; 0 for anything else.
template <class T> struct msl_vector { static constexpr int size = 0; typedef T element; };
template <class T, int N> struct msl_vector<T __attribute__((ext_vector_type(N)))> {
  static constexpr int size = N;
  typedef T element;
};

namespace metal {
// Packed vectors (MSL 2.2.3): aligned like their elements. Two and three elements are a class because clang pads a
// three-element vector to four; four elements are a vector with less alignment.
template <class T, int N> struct packed_vec;  // specialised below, so that .x .y .z are members
// A packed vector in an expression is the vector of its elements.
#define MSL_OPERATOR(op) \
  template <class T, int N> MSL_INLINE vec<T, N> operator op(packed_vec<T, N> a, packed_vec<T, N> b) { return vec<T, N>(a) op vec<T, N>(b); } \
  template <class T, int N> MSL_INLINE vec<T, N> operator op(packed_vec<T, N> a, vec<T, N> b) { return vec<T, N>(a) op b; } \
  template <class T, int N> MSL_INLINE vec<T, N> operator op(vec<T, N> a, packed_vec<T, N> b) { return a op vec<T, N>(b); } \
  template <class T, int N> MSL_INLINE vec<T, N> operator op(packed_vec<T, N> a, typename msl_vector<T>::element b) { return vec<T, N>(a) op b; } \
  template <class T, int N> MSL_INLINE vec<T, N> operator op(typename msl_vector<T>::element a, packed_vec<T, N> b) { return a op vec<T, N>(b); }
MSL_OPERATOR(+) MSL_OPERATOR(-) MSL_OPERATOR(*) MSL_OPERATOR(/)
#undef MSL_OPERATOR
}
#define MSL_PACKED(T) \
  template <> struct metal::packed_vec<T, 2> { \
    T x, y; \
    packed_vec() = default; \
    MSL_INLINE packed_vec(T##2 v) : x(v.x), y(v.y) {} \
    MSL_INLINE packed_vec(T a, T b) : x(a), y(b) {} \
    MSL_INLINE explicit packed_vec(T s) : x(s), y(s) {} \
    MSL_INLINE operator T##2() const { return (T##2){x, y}; } \
    MSL_INLINE T &operator[](int i) { return (&x)[i]; } \
    MSL_INLINE const T &operator[](int i) const { return (&x)[i]; } \
    MSL_PACKED_ASSIGN(T##2, +) MSL_PACKED_ASSIGN(T##2, -) MSL_PACKED_ASSIGN(T##2, *) MSL_PACKED_ASSIGN(T##2, /) \
  }; \
  template <> struct metal::packed_vec<T, 3> { \
    T x, y, z; \
    packed_vec() = default; \
    MSL_INLINE packed_vec(T##3 v) : x(v.x), y(v.y), z(v.z) {} \
    MSL_INLINE packed_vec(T a, T b, T c) : x(a), y(b), z(c) {} \
    MSL_INLINE explicit packed_vec(T s) : x(s), y(s), z(s) {} \
    MSL_INLINE operator T##3() const { return (T##3){x, y, z}; } \
    MSL_INLINE T &operator[](int i) { return (&x)[i]; } \
    MSL_INLINE const T &operator[](int i) const { return (&x)[i]; } \
    MSL_PACKED_ASSIGN(T##3, +) MSL_PACKED_ASSIGN(T##3, -) MSL_PACKED_ASSIGN(T##3, *) MSL_PACKED_ASSIGN(T##3, /) \
  }; \
  typedef metal::packed_vec<T, 2> packed_##T##2; \
  typedef metal::packed_vec<T, 3> packed_##T##3; \
  typedef T packed_##T##4 __attribute__((ext_vector_type(4), aligned(sizeof(T))));
#define MSL_PACKED_ASSIGN(V, op) \
  MSL_INLINE packed_vec &operator op##=(V o) { *this = packed_vec(V(*this) op o); return *this; }
MSL_INTEGERS(MSL_PACKED)
MSL_FLOATS(MSL_PACKED)
#undef MSL_PACKED
#undef MSL_PACKED_ASSIGN
namespace metal {
#define MSL_DEFINE(T) using ::packed_##T##2; using ::packed_##T##3; using ::packed_##T##4;
MSL_INTEGERS(MSL_DEFINE)
MSL_FLOATS(MSL_DEFINE)
#undef MSL_DEFINE
}
