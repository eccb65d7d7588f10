// integer.h: metal_integer (MSL 6.4) and metal_pack (6.14).
#pragma once
#include "math.h"

namespace metal {
#define MSL_INTEGER_SCALAR(T) \
  MSL_INLINE constexpr T abs(T x) { return x < T(0) ? T(-x) : x; } \
  MSL_INLINE constexpr make_unsigned_t<T> absdiff(T x, T y) { return x < y ? (make_unsigned_t<T>)y - (make_unsigned_t<T>)x : (make_unsigned_t<T>)x - (make_unsigned_t<T>)y; } \
  MSL_INLINE constexpr T addsat(T x, T y) { T r{}; return !__builtin_add_overflow(x, y, &r) ? r : x < T(0) ? numeric_limits<T>::min() : numeric_limits<T>::max(); } \
  MSL_INLINE constexpr T subsat(T x, T y) { T r{}; return !__builtin_sub_overflow(x, y, &r) ? r : x < y ? numeric_limits<T>::min() : numeric_limits<T>::max(); } \
  MSL_INLINE constexpr T hadd(T x, T y) { return T(((__int128)x + y) >> 1); } \
  MSL_INLINE constexpr T rhadd(T x, T y) { return T(((__int128)x + y + 1) >> 1); } \
  MSL_INLINE constexpr T mulhi(T x, T y) { return T((unsigned __int128)((__int128)x * y) >> (sizeof(T) * 8)); } \
  MSL_INLINE constexpr T madhi(T x, T y, T z) { return T(mulhi(x, y) + z); } \
  MSL_INLINE constexpr T madsat(T x, T y, T z) { \
    __int128 r = (__int128)x * y + z; \
    return r > numeric_limits<T>::max() ? numeric_limits<T>::max() : r < numeric_limits<T>::min() ? numeric_limits<T>::min() : T(r); \
  } \
  MSL_INLINE constexpr T popcount(T x) { return T(__builtin_popcountll((make_unsigned_t<T>)x)); } \
  MSL_INLINE constexpr T clz(T x) { return x == 0 ? T(sizeof(T) * 8) : T(__builtin_clzll((make_unsigned_t<T>)x) - (64 - int(sizeof(T) * 8))); } \
  MSL_INLINE constexpr T ctz(T x) { return x == 0 ? T(sizeof(T) * 8) : T(__builtin_ctzll((make_unsigned_t<T>)x)); } \
  MSL_INLINE constexpr T reverse_bits(T x) { \
    make_unsigned_t<T> u = (make_unsigned_t<T>)x, r = 0; \
    for (unsigned i = 0; i < sizeof(T) * 8; i++) r = (make_unsigned_t<T>)(r << 1 | (u >> i & 1)); \
    return T(r); \
  } \
  MSL_INLINE constexpr T rotate(T x, T n) { \
    make_unsigned_t<T> u = (make_unsigned_t<T>)x; \
    unsigned w = sizeof(T) * 8, k = (unsigned)n & (w - 1); \
    return k ? T((make_unsigned_t<T>)(u << k) | (make_unsigned_t<T>)(u >> (w - k))) : x; \
  } \
  MSL_INLINE constexpr T extract_bits(T x, uint offset, uint bits) { \
    if (bits == 0) return T(0); \
    make_unsigned_t<T> u = (make_unsigned_t<T>)((make_unsigned_t<T>)x << (sizeof(T) * 8 - offset - bits)); \
    return T(T(u) >> (sizeof(T) * 8 - bits)); \
  } \
  MSL_INLINE constexpr T insert_bits(T base, T insert, uint offset, uint bits) { \
    if (bits == 0) return base; \
    make_unsigned_t<T> mask = (make_unsigned_t<T>)((make_unsigned_t<T>)((make_unsigned_t<T>)~0 >> (sizeof(T) * 8 - bits)) << offset); \
    return T(((make_unsigned_t<T>)base & ~mask) | (((make_unsigned_t<T>)insert << offset) & mask)); \
  }
MSL_INTEGERS(MSL_INTEGER_SCALAR)
#undef MSL_INTEGER_SCALAR
MSL_INLINE constexpr int mul24(int x, int y) { return int(uint((x << 8) >> 8) * uint((y << 8) >> 8)); }
MSL_INLINE constexpr uint mul24(uint x, uint y) { return (x & 0xffffff) * (y & 0xffffff); }
MSL_INLINE constexpr int mad24(int x, int y, int z) { return int(uint(mul24(x, y)) + uint(z)); }
MSL_INLINE constexpr uint mad24(uint x, uint y, uint z) { return mul24(x, y) + z; }

#define MSL_UNSIGNED_VECTOR_2(T, N, name) \
  MSL_INLINE make_unsigned_t<T##N> name(T##N a, T##N b) { make_unsigned_t<T##N> r; for (int i = 0; i < N; i++) r[i] = name(a[i], b[i]); return r; }
#define MSL_INTEGER_VECTOR(T) \
  MSL_SIZES(MSL_VECTOR_1, T, abs) MSL_SIZES(MSL_UNSIGNED_VECTOR_2, T, absdiff) MSL_SIZES(MSL_INSERT, T, insert_bits) \
  MSL_SIZES(MSL_VECTOR_3, T, madhi) MSL_SIZES(MSL_VECTOR_3, T, madsat) MSL_SIZES(MSL_VECTOR_2, T, addsat) MSL_SIZES(MSL_VECTOR_2, T, subsat) \
  MSL_SIZES(MSL_VECTOR_2, T, hadd) MSL_SIZES(MSL_VECTOR_2, T, rhadd) MSL_SIZES(MSL_VECTOR_2, T, mulhi) \
  MSL_SIZES(MSL_VECTOR_2, T, rotate) MSL_SIZES(MSL_VECTOR_1, T, popcount) MSL_SIZES(MSL_VECTOR_1, T, clz) \
  MSL_SIZES(MSL_VECTOR_1, T, ctz) MSL_SIZES(MSL_VECTOR_1, T, reverse_bits) MSL_SIZES(MSL_BITS, T, extract_bits)
#define MSL_BITS(T, N, name) \
  MSL_INLINE T##N name(T##N a, uint offset, uint bits) { T##N r; for (int i = 0; i < N; i++) r[i] = name(a[i], offset, bits); return r; }
#define MSL_INSERT(T, N, name) \
  MSL_INLINE T##N name(T##N a, T##N b, uint offset, uint bits) { T##N r; for (int i = 0; i < N; i++) r[i] = name(a[i], b[i], offset, bits); return r; }
MSL_INTEGERS(MSL_INTEGER_VECTOR)
MSL_SIZES(MSL_VECTOR_2, int, mul24) MSL_SIZES(MSL_VECTOR_2, uint, mul24) MSL_SIZES(MSL_VECTOR_3, int, mad24) MSL_SIZES(MSL_VECTOR_3, uint, mad24)
#undef MSL_INTEGER_VECTOR
#undef MSL_UNSIGNED_VECTOR_2
#undef MSL_BITS
#undef MSL_INSERT

// Packing: normalised integers in the low bits first.
template <class V, class P, int N, int bits, bool is_signed> MSL_INLINE V msl_unpack(P p) {
  V r;
  for (int i = 0; i < N; i++) {
    if constexpr (is_signed) {
      float top = (1 << (bits - 1)) - 1;
      int q = (int)(p << (sizeof(P) * 8 - bits * (i + 1))) >> (32 - bits);
      if constexpr (sizeof(P) != 4) q = (int)((uint)p << (32 - bits * (i + 1))) >> (32 - bits);
      r[i] = max(q / top, -1.0f);
    } else {
      float top = (float)((1u << bits) - 1);
      r[i] = ((p >> (bits * i)) & ((1u << bits) - 1)) / top;
    }
  }
  return r;
}
template <class P, int N, int bits, bool is_signed, class V> MSL_INLINE P msl_pack(V v) {
  P p = 0;
  for (int i = 0; i < N; i++) {
    float top = is_signed ? (float)((1 << (bits - 1)) - 1) : (float)((1u << bits) - 1);
    int q = (int)rint(clamp((float)v[i], is_signed ? -1.0f : 0.0f, 1.0f) * top);
    p |= (P)((P)((uint)q & ((1u << bits) - 1)) << (bits * i));
  }
  return p;
}
MSL_INLINE float4 unpack_unorm4x8_to_float(uint p) { return msl_unpack<float4, uint, 4, 8, false>(p); }
MSL_INLINE float4 unpack_snorm4x8_to_float(uint p) { return msl_unpack<float4, uint, 4, 8, true>(p); }
MSL_INLINE float2 unpack_unorm2x16_to_float(uint p) { return msl_unpack<float2, uint, 2, 16, false>(p); }
MSL_INLINE float2 unpack_snorm2x16_to_float(uint p) { return msl_unpack<float2, uint, 2, 16, true>(p); }
MSL_INLINE half4 unpack_unorm4x8_to_half(uint p) { return __builtin_convertvector(unpack_unorm4x8_to_float(p), half4); }
MSL_INLINE half4 unpack_snorm4x8_to_half(uint p) { return __builtin_convertvector(unpack_snorm4x8_to_float(p), half4); }
MSL_INLINE half2 unpack_unorm2x16_to_half(uint p) { return __builtin_convertvector(unpack_unorm2x16_to_float(p), half2); }
MSL_INLINE half2 unpack_snorm2x16_to_half(uint p) { return __builtin_convertvector(unpack_snorm2x16_to_float(p), half2); }
MSL_INLINE uint pack_float_to_unorm4x8(float4 v) { return msl_pack<uint, 4, 8, false>(v); }
MSL_INLINE uint pack_float_to_snorm4x8(float4 v) { return msl_pack<uint, 4, 8, true>(v); }
MSL_INLINE uint pack_float_to_unorm2x16(float2 v) { return msl_pack<uint, 2, 16, false>(v); }
MSL_INLINE uint pack_float_to_snorm2x16(float2 v) { return msl_pack<uint, 2, 16, true>(v); }
MSL_INLINE uint pack_half_to_unorm4x8(half4 v) { return msl_pack<uint, 4, 8, false>(v); }
MSL_INLINE uint pack_half_to_snorm4x8(half4 v) { return msl_pack<uint, 4, 8, true>(v); }
MSL_INLINE uint pack_half_to_unorm2x16(half2 v) { return msl_pack<uint, 2, 16, false>(v); }
MSL_INLINE uint pack_half_to_snorm2x16(half2 v) { return msl_pack<uint, 2, 16, true>(v); }
}
