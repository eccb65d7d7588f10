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

// Clang's vectors of bool are bit fields without swizzles: those of MSL, a byte an element, are a class of their own.
namespace metal {
template <int N> struct msl_bools;
// v.xz, read and written; it lies where the vector lies.
template <int... lanes> struct msl_swizzle {
  bool first;
  MSL_INLINE constexpr operator msl_bools<sizeof...(lanes)>() const;
  MSL_INLINE constexpr msl_swizzle &operator=(msl_bools<sizeof...(lanes)> v);
};
template <int N> struct msl_lanes_of;
#define MSL_PAIRS(a, A) msl_swizzle<A, 0> a##x; msl_swizzle<A, 1> a##y;
#define MSL_TRIPLES(a, A) msl_swizzle<A, 0> a##x; msl_swizzle<A, 1> a##y; msl_swizzle<A, 2> a##z;
#define MSL_QUADS(a, A) msl_swizzle<A, 0> a##x; msl_swizzle<A, 1> a##y; msl_swizzle<A, 2> a##z; msl_swizzle<A, 3> a##w;
#define MSL_COMMA ,
template <> struct alignas(2) msl_lanes_of<2> {
  union {
    bool e[2];
    struct { bool x, y; };
    struct { bool r, g; };
    MSL_PAIRS(x, 0) MSL_PAIRS(y, 1)
  };
};
template <> struct alignas(4) msl_lanes_of<3> {
  union {
    bool e[3];
    struct { bool x, y, z; };
    struct { bool r, g, b; };
    MSL_TRIPLES(x, 0) MSL_TRIPLES(y, 1) MSL_TRIPLES(z, 2)
    MSL_TRIPLES(xx, 0 MSL_COMMA 0) MSL_TRIPLES(xy, 0 MSL_COMMA 1) MSL_TRIPLES(xz, 0 MSL_COMMA 2)
    MSL_TRIPLES(yx, 1 MSL_COMMA 0) MSL_TRIPLES(yy, 1 MSL_COMMA 1) MSL_TRIPLES(yz, 1 MSL_COMMA 2)
    MSL_TRIPLES(zx, 2 MSL_COMMA 0) MSL_TRIPLES(zy, 2 MSL_COMMA 1) MSL_TRIPLES(zz, 2 MSL_COMMA 2)
  };
};
template <> struct alignas(4) msl_lanes_of<4> {
  union {
    bool e[4];
    struct { bool x, y, z, w; };
    struct { bool r, g, b, a; };
    MSL_QUADS(x, 0) MSL_QUADS(y, 1) MSL_QUADS(z, 2) MSL_QUADS(w, 3)
    MSL_QUADS(xx, 0 MSL_COMMA 0) MSL_QUADS(xy, 0 MSL_COMMA 1) MSL_QUADS(xz, 0 MSL_COMMA 2) MSL_QUADS(xw, 0 MSL_COMMA 3)
    MSL_QUADS(yx, 1 MSL_COMMA 0) MSL_QUADS(yy, 1 MSL_COMMA 1) MSL_QUADS(yz, 1 MSL_COMMA 2) MSL_QUADS(yw, 1 MSL_COMMA 3)
    MSL_QUADS(zx, 2 MSL_COMMA 0) MSL_QUADS(zy, 2 MSL_COMMA 1) MSL_QUADS(zz, 2 MSL_COMMA 2) MSL_QUADS(zw, 2 MSL_COMMA 3)
    MSL_QUADS(wx, 3 MSL_COMMA 0) MSL_QUADS(wy, 3 MSL_COMMA 1) MSL_QUADS(wz, 3 MSL_COMMA 2) MSL_QUADS(ww, 3 MSL_COMMA 3)
    MSL_QUADS(xyz, 0 MSL_COMMA 1 MSL_COMMA 2) MSL_QUADS(wzy, 3 MSL_COMMA 2 MSL_COMMA 1)
  };
};
#undef MSL_PAIRS
#undef MSL_TRIPLES
#undef MSL_QUADS
#undef MSL_COMMA
template <int N> struct msl_bools : msl_lanes_of<N> {
  using msl_lanes_of<N>::e;
  msl_bools() = default;
  MSL_INLINE constexpr msl_bools(bool v) : msl_lanes_of<N>{} {
    for (int i = 0; i < N; i++) e[i] = v;
  }
  MSL_INLINE constexpr bool &operator[](int i) { return e[i]; }
  MSL_INLINE constexpr const bool &operator[](int i) const { return e[i]; }
#define MSL_BOOLS(op, expr) \
  MSL_INLINE friend constexpr msl_bools operator op(msl_bools a, msl_bools b) { \
    msl_bools r(false); \
    for (int i = 0; i < N; i++) r.e[i] = expr; \
    return r; \
  }
  MSL_BOOLS(&, a.e[i] & b.e[i]) MSL_BOOLS(|, a.e[i] | b.e[i]) MSL_BOOLS(^, a.e[i] != b.e[i])
  MSL_BOOLS(&&, a.e[i] & b.e[i]) MSL_BOOLS(||, a.e[i] | b.e[i])
  MSL_BOOLS(==, a.e[i] == b.e[i]) MSL_BOOLS(!=, a.e[i] != b.e[i])
#undef MSL_BOOLS
  MSL_INLINE constexpr msl_bools operator!() const { return *this == msl_bools(false); }
  MSL_INLINE constexpr msl_bools operator~() const { return *this == msl_bools(false); }
  MSL_INLINE constexpr msl_bools &operator&=(msl_bools o) { return *this = *this & o; }
  MSL_INLINE constexpr msl_bools &operator|=(msl_bools o) { return *this = *this | o; }
  MSL_INLINE constexpr msl_bools &operator^=(msl_bools o) { return *this = *this ^ o; }
};
template <int... lanes> MSL_INLINE constexpr msl_swizzle<lanes...>::operator msl_bools<sizeof...(lanes)>() const {
  msl_bools<sizeof...(lanes)> r(false);
  int i = 0;
  ((r.e[i++] = (&first)[lanes]), ...);
  return r;
}
template <int... lanes> MSL_INLINE constexpr msl_swizzle<lanes...> &msl_swizzle<lanes...>::operator=(msl_bools<sizeof...(lanes)> v) {
  int i = 0;
  (((&first)[lanes] = v.e[i++]), ...);
  return *this;
}
}

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
using metal::msl_bools;
typedef metal::msl_bools<2> bool2;
typedef metal::msl_bools<3> bool3;
typedef metal::msl_bools<4> bool4;
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
template <int N> struct msl_vector<metal::msl_bools<N>> {
  static constexpr int size = N;
  typedef bool element;
};

// String literals are in the constant address space; the pre-pass adds the suffix.
template <class C, C... c> struct msl_string {
  static constexpr MSL_CONSTANT_SPACE const C data[] = {c..., 0};
};
template <class C, C... c> constexpr const MSL_CONSTANT_SPACE C (&operator""_msl())[sizeof...(c) + 1] { return msl_string<C, c...>::data; }

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
