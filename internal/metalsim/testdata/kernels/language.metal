// The language and its library, checked from within: each kernel writes 1 for every statement that holds.
#include <metal_stdlib>
using namespace metal;

#define CHECK(...) ok[n++] = (__VA_ARGS__) ? 1 : 0
#define NEAR(a, b) CHECK(fabs(float(a) - float(b)) < 1e-5f)

kernel void vectors(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  float4 v = float4(1, float2(2, 3), 4);
  CHECK(v.x == 1 && v.y == 2 && v.z == 3 && v.w == 4);
  CHECK(all(v.wzyx == float4(4, 3, 2, 1)));
  CHECK(all(v.rgba == v) && v.bg.x == 3);
  v.xz = v.zx;
  CHECK(all(v == float4(3, 2, 1, 4)));
  v[1] = 9;
  CHECK(v.y == 9);
  float3 w = 2;
  CHECK(all(w == float3(2, 2, 2)));
  CHECK(all(float4(int4(1, -2, 3, -4)) == float4(1, -2, 3, -4)));
  CHECK(all(int4(float4(1.9, -1.9, 2.5, -2.5)) == int4(1, -1, 2, -2)));
  CHECK(all((int4)float4(1.9, -1.9, 2.5, -2.5) == int4(1, -1, 2, -2)));
  CHECK(all(uchar4(300, 1, 2, 3) == uchar4(44, 1, 2, 3)));
  CHECK(all(float2(float2(1, 2) < float2(2, 1)) == float2(1, 0)));
  bool4 b = v > 2.0f;
  CHECK(b.x && b.y && !b.z && b.w && any(b) && !all(b));
  CHECK(all(select(float2(1, 2), float2(3, 4), bool2(true, false)) == float2(3, 2)));
  CHECK(all(max(v, 2.0f) == float4(3, 9, 2, 4)));
  CHECK(all(clamp(int4(-5, 0, 5, 9), 0, 5) == int4(0, 0, 5, 5)));
  CHECK(all((uint2(1, 2) << 2u) == uint2(4, 8)));
  CHECK(dot(float3(1, 2, 3), float3(4, 5, 6)) == 32);
  CHECK(all(cross(float3(1, 0, 0), float3(0, 1, 0)) == float3(0, 0, 1)));
  NEAR(length(float2(3, 4)), 5);
  NEAR(normalize(float2(3, 4)).y, 0.8);
  vec<half, 4> h = vec<half, 4>(v);
  CHECK(h.y == 9.0h);
  CHECK(as_type<uint>(1.0f) == 0x3f800000u && as_type<ushort>(1.0h) == 0x3c00);
  CHECK(all(as_type<uchar4>(0x04030201u) == uchar4(1, 2, 3, 4)));
  CHECK(sizeof(float3) == 16 && sizeof(packed_float3) == 12 && sizeof(half3) == 8 && alignof(packed_float3) == 4);
}

struct Mixed { uchar tag; packed_float3 p; half h; };
kernel void packed(device uint *ok [[buffer(0)]], device Mixed *m [[buffer(1)]], device packed_half4 *q [[buffer(2)]]) {
  uint n = 0;
  CHECK(sizeof(Mixed) == 20);
  m[0].p = float3(1, 2, 3);
  m[0].p.y = 5;
  m[0].h = 0.5h;
  m[0].tag = 7;
  float3 v = m[0].p;
  CHECK(all(v == float3(1, 5, 3)));
  CHECK(all(m[0].p * 2.0f == float3(2, 10, 6)));
  CHECK(m[0].p[2] == 3 && m[0].h == half(0.5) && m[0].tag == 7);
  q[0] = half4(1, 2, 3, 4);
  half4 h = q[0];
  CHECK(h.w == 4);
  Mixed copy = m[0];
  CHECK(copy.p.x == 1);
}

kernel void small_floats(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  half big = 2048.0h;
  CHECK(big + 1.0h == 2048.0h);                       // every half operation rounds
  CHECK((float)big + 1.0f == 2049.0f);
  CHECK(half(65520.0f) == HUGE_VALH && half(65519.0f) == MAXHALF);
  bfloat one = 1.0bf, tiny = bfloat(0.001f);
  CHECK(one + tiny == one);
  CHECK(float(bfloat(1.00390625f)) == 1.0f);          // ties to even
  CHECK(float(bfloat(1.01171875f)) == 1.015625f);
  CHECK(as_type<ushort>(bfloat(-2.0f)) == 0xc000);
  bfloat4 v = bfloat4(float4(1, 2, 3, 4));
  CHECK(float(v.w) == 4 && all(float4(v) == float4(1, 2, 3, 4)));
  CHECK(isnan(half(NAN)) && isinf(INFINITY) && !isinf(MAXFLOAT));
  CHECK(numeric_limits<half>::max() == 65504.0h && numeric_limits<int>::min() == INT_MIN && numeric_limits<uchar>::max() == 255);
  CHECK(1.0 / 3.0 == 1.0f / 3.0f && sizeof(1.0) == 4);
}

kernel void mathematics(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  NEAR(exp(1.0f), M_E_F);
  NEAR(exp2(3.0f), 8);
  NEAR(exp10(2.0f), 100);
  NEAR(log(M_E_F), 1);
  NEAR(rsqrt(4.0f), 0.5);
  NEAR(sinpi(0.5f), 1);
  NEAR(precise::tanh(0.5f), 0.46211716f);
  NEAR(fast::exp(0.0f), 1);
  NEAR(pow(2.0f, 0.5f), 1.41421356f);
  NEAR(fract(-0.25f), 0.75);
  NEAR(mix(1.0f, 3.0f, 0.25f), 1.5);
  NEAR(smoothstep(0.0f, 1.0f, 0.5f), 0.5);
  CHECK(rint(2.5f) == 2 && round(2.5f) == 3 && trunc(-1.5f) == -1 && floor(-1.5f) == -2);
  CHECK(sign(-3.0f) == -1 && step(1.0f, 0.5f) == 0 && saturate(1.5f) == 1);
  CHECK(max(NAN, 1.0f) == 1 && min(1.0f, NAN) == 1 && fmax(NAN, 2.0f) == 2);
  CHECK(max3(1, 5, 3) == 5 && median3(1, 5, 3) == 3 && abs(-3) == 3);
  int e;
  float f = frexp(12.0f, e);
  CHECK(f == 0.75f && e == 4 && ldexp(0.75f, 4) == 12);
  float c, s = sincos(0.0f, c);
  CHECK(s == 0 && c == 1);
  CHECK(fma(2.0f, 3.0f, 4.0f) == 10);
  CHECK(half(sqrt(2.0h)) == half(1.4142135f));
}

kernel void integers(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  CHECK(popcount(0xf0f0u) == 8 && clz(1u) == 31 && ctz(8u) == 3 && clz(uchar(1)) == 7 && clz(0u) == 32);
  CHECK(mulhi(0x80000000u, 4u) == 2 && mulhi(-2147483647 - 1, 2) == -1);
  CHECK(rotate(0x80000001u, 1u) == 3 && reverse_bits(1u) == 0x80000000u);
  CHECK(extract_bits(0xabcdu, 4, 8) == 0xbc && extract_bits(int(0xf0), 4, 4) == -1);
  CHECK(insert_bits(0u, 0xffu, 8, 4) == 0xf00);
  CHECK(addsat(uchar(250), uchar(10)) == 255 && subsat(5u, 9u) == 0 && addsat(INT_MAX, 1) == INT_MAX);
  CHECK(hadd(7u, 4u) == 5 && rhadd(7u, 4u) == 6 && absdiff(-3, 4) == 7u);
  CHECK(all(popcount(uint2(1, 3)) == uint2(1, 2)));
  CHECK(as_type<int>(pack_float_to_snorm4x8(float4(1, -1, 0, 0))) == 0x0000817f);
  CHECK(pack_float_to_unorm2x16(float2(1, 0)) == 0xffff);
  NEAR(unpack_unorm4x8_to_float(0xff000080u).x, 128.0 / 255.0);
  NEAR(unpack_snorm4x8_to_float(0x000000817fu).y, -1);
  CHECK(7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1);
}

kernel void matrices(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  float2x2 m = float2x2(float2(1, 2), float2(3, 4));   // columns
  CHECK(all(m * float2(1, 1) == float2(4, 6)));
  CHECK(all(float2(1, 1) * m == float2(3, 7)));
  CHECK(determinant(m) == -2 && m[1][0] == 3);
  CHECK(all(transpose(m)[0] == float2(1, 3)));
  CHECK(all((m * float2x2(1.0f))[1] == float2(3, 4)));
  float4x4 i = float4x4(1.0f);
  i[3] = float4(5, 6, 7, 1);
  CHECK(all((i * float4(0, 0, 0, 1)).xyz == float3(5, 6, 7)));
  CHECK(determinant(float3x3(float3(2, 0, 0), float3(0, 3, 0), float3(0, 0, 4))) == 24);
  array<float, 3> a = {1, 2, 3};
  float sum = 0;
  for (size_t k = 0; k < a.size(); k++) sum += a[k];
  CHECK(sum == 6);
}

// Lane functions: every lane checks what it gets.
kernel void lanes(device uint *ok [[buffer(0)]], ushort lane [[thread_index_in_simdgroup]], uint i [[thread_index_in_threadgroup]],
                  uint width [[threads_per_simdgroup]]) {
  uint n = i * 40;
  float x = lane;
  CHECK(width == 32);
  CHECK(simd_sum(x) == 496 && simd_max(x) == 31 && simd_min(lane) == 0);
  CHECK(simd_product(lane == 3 ? 5 : 1) == 5);
  CHECK(simd_and(uint(lane) | 32u) == 32 && simd_or(1u << lane) == ~0u && simd_xor(uint(lane)) == 0);
  CHECK(simd_shuffle(x, 7) == 7 && simd_broadcast(x, 30) == 30 && simd_broadcast_first(x) == 0);
  CHECK(simd_shuffle_xor(x, 5) == (lane ^ 5));
  CHECK(simd_shuffle_down(x, 3) == (lane < 29 ? lane + 3 : lane));
  CHECK(simd_shuffle_up(x, 3) == (lane >= 3 ? lane - 3 : lane));
  CHECK(simd_shuffle_rotate_down(x, 3) == (lane + 3) % 32 && simd_shuffle_rotate_up(x, 3) == (lane + 29) % 32);
  CHECK(simd_shuffle_and_fill_up(x, 100 + x, 2) == (lane >= 2 ? lane - 2 : 130 + lane));
  CHECK(simd_shuffle_and_fill_down(x, 100 + x, 2) == (lane < 30 ? lane + 2 : 100 + lane - 30));
  CHECK(simd_prefix_inclusive_sum(1) == lane + 1 && simd_prefix_exclusive_sum(2) == 2 * lane);
  CHECK(simd_prefix_inclusive_product(lane == 1 ? 3 : 1) == (lane >= 1 ? 3 : 1));
  CHECK((simd_vote::vote_t)simd_ballot(lane % 2 == 0) == 0x55555555);
  CHECK(simd_any(lane == 9) && !simd_all(lane < 31) && simd_all(lane < 32));
  CHECK(simd_is_first() == (lane == 0));
  if (lane >= 4) CHECK(simd_is_first() == (lane == 4) && (simd_vote::vote_t)simd_active_threads_mask() == 0xfffffff0);
  else CHECK(simd_broadcast_first(lane) == 0);
  CHECK(quad_sum(x) == 4 * (lane & ~3) + 6 && quad_max(x) == (lane | 3));
  CHECK(quad_shuffle(x, 2) == (lane & ~3) + 2 && quad_broadcast(x, 1) == (lane & ~3) + 1 && quad_shuffle_xor(x, 3) == (lane ^ 3));
  CHECK((quad_vote::vote_t)quad_ballot(lane & 1) == 10);
  half4 h = half4(lane, 0, 0, 1);
  CHECK(simd_sum(h).x == 496 && simd_shuffle(h, 9).x == 9);
  CHECK(simd_sum(ulong(1) << 40) == ulong(32) << 40);
  while (n < i * 40 + 40) ok[n++] = 1;
}

// C = A B + C with 8 x 8 matrices; the result is checked element by element.
template <typename T>
kernel void matrix_multiply(device uint *ok [[buffer(0)]], device T *a [[buffer(1)]], device T *b [[buffer(2)]], device float *c [[buffer(3)]],
                            uint lane [[thread_index_in_simdgroup]]) {
  for (uint k = lane; k < 64; k += 32) {
    a[k] = T(float(k % 7));
    b[k] = T(float(k % 5) - 2.0f);
    c[k] = float(k);
  }
  threadgroup_barrier(mem_flags::mem_device);
  simdgroup_matrix<T, 8, 8> ma, mb, mt;
  simdgroup_float8x8 mc;
  simdgroup_load(ma, a, 8);
  simdgroup_load(mb, b, 8);
  simdgroup_load(mc, c, 8);
  simdgroup_multiply_accumulate(mc, ma, mb, mc);
  threadgroup_barrier(mem_flags::mem_device);
  simdgroup_store(mc, c, 8);
  simdgroup_load(mt, a, 8, ulong2(0, 0), true);
  simdgroup_store(mt, b, 8);
  threadgroup_barrier(mem_flags::mem_device);
  uint n = lane * 4;
  for (uint k = lane; k < 64; k += 32) {
    float sum = k;
    for (uint j = 0; j < 8; j++) sum += float((k / 8 * 8 + j) % 7) * (float((j * 8 + k % 8) % 5) - 2.0f);
    CHECK(c[k] == sum);
    CHECK(float(b[k]) == float((k % 8 * 8 + k / 8) % 7));
  }
}
template [[host_name("matrix_multiply_float")]] kernel void matrix_multiply<float>(device uint *, device float *, device float *, device float *, uint);
template [[host_name("matrix_multiply_half")]] [[kernel]] decltype(matrix_multiply<half>) matrix_multiply<half>;
template [[host_name("matrix_multiply_bfloat")]] [[kernel]] decltype(matrix_multiply<bfloat>) matrix_multiply<bfloat>;

kernel void matrix_elements(device uint *ok [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {
  uint n = lane * 2;
  simdgroup_float8x8 f = make_filled_simdgroup_matrix<float, 8>(3.0f), one = simdgroup_float8x8(1.0f), r;
  f.thread_elements()[0] *= 2;
  simdgroup_multiply(r, f, one);
  CHECK(r.thread_elements()[0] == 6 && r.thread_elements()[1] == 3);
  CHECK((f * one).thread_elements()[0] == 6);
}

kernel void atomics(device uint *ok [[buffer(0)]], device atomic_uint *u [[buffer(1)]], device atomic_int *s [[buffer(2)]], device atomic_float *f [[buffer(3)]],
                    uint i [[thread_index_in_threadgroup]], uint threads [[threads_per_threadgroup]]) {
  threadgroup atomic_uint local;
  if (i == 0) atomic_store_explicit(&local, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(u, i, memory_order_relaxed);
  atomic_fetch_max_explicit(s, int(i) - 3, memory_order_relaxed);
  atomic_fetch_add_explicit(f, 0.5f, memory_order_relaxed);
  atomic_fetch_or_explicit(&local, 1u << (i & 31), memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  uint n = i * 4;
  CHECK(atomic_load_explicit(u, memory_order_relaxed) == threads * (threads - 1) / 2);
  CHECK(atomic_load_explicit(s, memory_order_relaxed) == int(threads) - 4);
  CHECK(atomic_load_explicit(f, memory_order_relaxed) == 0.5f * threads);
  CHECK(atomic_load_explicit(&local, memory_order_relaxed) == ~0u);
}

constant bool flag [[function_constant(0)]];
constant int number [[function_constant(1)]];
constant float scale [[function_constant(2)]];
constant half4 four [[function_constant(3)]];
constant uint absent [[function_constant(4)]];
constant uint chosen = is_function_constant_defined(absent) ? absent : 17;
kernel void constants(device uint *ok [[buffer(0)]], device uint *extra [[buffer(1), function_constant(flag)]]) {
  uint n = 0;
  CHECK(flag);
  CHECK(number == -5 && scale == 0.25f);
  CHECK(all(four == half4(1, 2, 3, 4)));
  CHECK(!is_function_constant_defined(absent) && chosen == 17);
  if (flag) CHECK(extra[0] == 99);
}

// Positions, checked against each other, in a grid of threads that the threadgroups do not divide.
kernel void positions(device uint *ok [[buffer(0)]], device atomic_uint *seen [[buffer(1)]], uint3 t [[thread_position_in_threadgroup]], uint3 g [[threadgroup_position_in_grid]],
                      uint3 p [[thread_position_in_grid]], ushort3 size [[threads_per_threadgroup]], uint3 asked [[dispatch_threads_per_threadgroup]],
                      uint3 groups [[threadgroups_per_grid]], uint3 total [[threads_per_grid]], uint index [[thread_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]], uint simdgroups [[simdgroups_per_threadgroup]],
                      uint quad [[quadgroup_index_in_threadgroup]], uint in_quad [[thread_index_in_quadgroup]]) {
  uint n = (p.x + total.x * p.y) * 4;
  CHECK(all(p == g * asked + t) && all(p < total) && all(g < groups));
  CHECK(index == t.x + t.y * size.x && lane == index % 32 && simdgroup == index / 32);
  CHECK(all(uint3(size) == min(asked, total - g * asked)) && simdgroups == (size.x * size.y + 31u) / 32);
  CHECK(quad == index / 4 && in_quad == index % 4);
  atomic_fetch_add_explicit(&seen[p.x + total.x * p.y], 1, memory_order_relaxed);
}

// Templates, overloads on address spaces, member functions, namespaces.
namespace shapes {
template <typename T, int N> struct Row {
  T v[N];
  T sum() const thread { T s = 0; for (int i = 0; i < N; i++) s += v[i]; return s; }
  T sum() const device { T s = 0; for (int i = 0; i < N; i++) s += v[i]; return s; }
};
inline int where(device const float *) { return 1; }
inline int where(threadgroup const float *) { return 2; }
inline int where(thread const float *) { return 3; }
inline int where(constant float *) { return 4; }
}
constant float table[4] = {1, 2, 3, 4};
constexpr constant int kSize = 3;
template <typename T> T convert(float4 v) { return T(v); }
template <typename T, typename V> T second(V v) { return static_cast<T>(v.y) + (T)v.x; }
kernel void templates(device uint *ok [[buffer(0)]], device float *x [[buffer(1)]], constant float *c [[buffer(2)]], threadgroup float *s [[threadgroup(0)]]) {
  uint n = 0;
  shapes::Row<float, kSize> r = {{1, 2, 3}};
  CHECK(r.sum() == 6);
  device shapes::Row<float, 3> *d = (device shapes::Row<float, 3> *)x;
  *d = r;
  CHECK(d->sum() == 6 && x[2] == 3);
  float local = 0;
  CHECK(shapes::where(x) == 1 && shapes::where(s) == 2 && shapes::where(&local) == 3 && shapes::where(table) == 4 && shapes::where(c) == 4);
  CHECK(table[n % 4] == n % 4 + 1);
  CHECK(all(convert<int4>(float4(1.5, 2.5, 3.5, 4.5)) == int4(1, 2, 3, 4)));
  CHECK(all(convert<half4>(float4(1.5)) == half4(1.5h)));
  CHECK(second<half>(float2(1, 2)) == 3.0h);
  auto twice = [](float v) { return 2 * v; };
  CHECK(twice(4) == 8);
}

// Literals without a suffix are float in templates, too.
template <typename T> bool is_float_literal(T x) { return sizeof(x * 0 + 1.5) == sizeof(float) && x + 1e-9 == x; }
kernel void literals(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  CHECK(is_float_literal(1.0) && is_float_literal(2));
  CHECK(sizeof(0x1.8p1) == 4 && 0x1.8p1 == 3 && 1e3 == 1000);
}

// Comparisons of vectors give vectors of booleans.
kernel void booleans(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  float2 v = float2(1, 3);
  CHECK((v > 1.5f).y * 5.0f == 5.0f && -(v > 1.5f).y == -1);
  CHECK((v > 1.5f).y == true && (v > 1.5f).x == false);
  CHECK(all(static_cast<float2>(v > 1.5f) == float2(0, 1)) && all(float2(v <= 1) == float2(1, 0)));
  bool2 a = v >= 1.0f, b = v != float2(1, 2);
  CHECK(all(a) && !b.x && b.y && any(a && b) && all(a || b) && all(!b == bool2(true, false)) && all((a ^ b) == ~b));
  auto c = half4(1, 2, 3, 4) < 3.0h;
  c.zw = c.xy;
  CHECK(c.x && c.y && c.z && c[3] && sizeof(c) == 4 && sizeof(bool3) == 4);
  vec<bool, 3> d = uint3(1, 2, 3) == 2u;
  CHECK(!d.x && d.y && !d.z && all(select(float3(0), float3(1), d) == float3(0, 1, 0)));
  CHECK(all(isnan(float2(NAN, 0)) == bool2(true, false)) && all(int2(v < 2) == int2(1, 0)));
  packed_float3 p = float3(1, 2, 3);
  CHECK(all(p == p) && all((p > float3(2)) == bool3(false, false, true)));
  int less = 1 < 2, more = 5 >> 1 > 1;
  CHECK(less < 3 && more == 1 && (less < 2 && less > 0));
}

// Member functions overloaded on the address space of their object.
struct Place {
  int v[3];
  int where() thread { return 1; }
  int where() const device { return 2; }
  int where() threadgroup { return 3; }
  thread int &operator[](uint i) thread { return v[i]; }
  device int &operator[](uint i) device { return v[i]; }
  threadgroup int &operator[](uint i) threadgroup { return v[i]; }
  template <typename T> enable_if_t<is_integral_v<T>, T> twice(T x) const thread { return x + x; }
  template <typename T> enable_if_t<!is_integral_v<T>, T> twice(T x) const thread { return x * T(2); }
  operator vec<int, 2>() const thread { return vec<int, 2>(v[0], v[1]); }
  operator vec<int, 2>() const device { return vec<int, 2>(v[0], v[1]); }
  template <typename... A> int count(constant char *, A...) const thread { return sizeof...(A); }
  template <typename... A> int count(constant char *, A...) const device { return sizeof...(A) + v[0]; }
  template <typename T> T plus(T x, int) const device { return x + T(v[0]); }
};
kernel void members(device uint *ok [[buffer(0)]], device Place *p [[buffer(1)]], threadgroup Place *s [[threadgroup(0)]]) {
  uint n = 0;
  Place own = {{1, 2, 3}};
  own[1] = 7;
  p[0] = own;
  (*p)[2] = 9;
  s[0][0] = 5;
  CHECK(own.where() == 1 && p->where() == 2 && s->where() == 3);
  CHECK(own.v[1] == 7 && p->v[2] == 9 && p->v[1] == 7 && s->v[0] == 5);
  CHECK(all(int2(*p) == int2(1, 7)) && all(vec<int, 2>(own) == int2(1, 7)));
  CHECK(own.count("a", 1, 2.0f) == 2 && p->count("b", 3) == 2 && own.count("c") == 0);
  CHECK(own.twice(3) == 6 && own.twice(1.5f) == 3.0f && p->plus(0.5f, 1) == 1.5f);
}

// One buffer bound twice is one buffer.
kernel void aliases(device uint *ok [[buffer(0)]], device const float *a [[buffer(1)]], device const float *b [[buffer(1)]]) {
  uint n = 0;
  CHECK(a == b && !(a != b) && b - a == 0 && b + 2 > a && (a + 2) - b == 2);
  threadgroup float s[2], u[2];
  CHECK((threadgroup void *)s != (threadgroup void *)u && &s[1] - s == 1);
}

// What is in the specification and not in C++.
template <typename T> kernel void deduced(device T *a [[buffer(0)]]) { a[0] = T(1); }
template [[host_name("deduced_uint")]] kernel void deduced(device uint *a [[buffer(0)]]);
int first_of(constant char *s) { return s[0]; }
struct Turned { float2x2 m[1]; };
template <> struct _numeric_limits_impl<Turned> {   // a name of Apple's own headers that published kernels specialise
  static constexpr Turned max() { return Turned{float2x2(2)}; }
};
template <uint n> constexpr uint twice() { return 2 * n; }
template <typename T> constexpr uint elements() { return twice<vec_elements<T>::value>(); }
uint middle(uint3 v) { return v.y; }
template <int n> uint thrice(uint3 v) { return n * v.y; }
float middle(uint at, vec<float, 3> v) { return v.y + at; }
struct Corner { float4 at [[position]]; float2 where [[user(where)]]; };
// Not of a compute library, but in the same file with one.
vertex Corner corner(constant float2 *p [[buffer(0)]], uint i [[vertex_id]]) { return {float4(p[i], 0, 1), p[i]}; }
[[fragment, early_fragment_tests]] float4 colour(Corner c [[stage_in]]) { return float4(c.where, 0, 1); }
template <typename T> vertex float4 point(constant T *p [[buffer(0)]]) { return {p[0], 0, 0, 1}; }
template [[host_name("point_half")]] vertex float4 point<half>(constant half *);
constant Turned turned = Turned{float2x2(float2(0, 1), float2(2, 3))};
kernel void specification(device uint *ok [[buffer(0)]]) {
  uint n = 0;
  CHECK(abs(-3) - 5 == -2 && all(abs(int2(-3, 4)) == int2(3, 4)) && all(absdiff(int2(-3, 4), int2(4)) == uint2(7, 0)));
  CHECK(first_of("abc") == 97 && turned.m[0][1].x == 2);
  CHECK(float(bfloat(1.5h)) == 1.5f && all(float2(half2(bfloat2(2, 4))) == float2(2, 4)));
  float2 whole, part = modf(float2(1.5f, -2.25f), whole);
  CHECK(all(whole == float2(1, -2)) && all(part == float2(0.5f, -0.25f)));
  float3 q = 1;
  const float4 v(q, 2.0f), w(3.0f, part, max(q.x, 4.0f));
  CHECK(all(v == float4(1, 1, 1, 2)) && all(w == float4(3, 0.5f, -0.25f, 4)));
  CHECK(elements<half3>() == 6 && elements<float>() == 2);
  CHECK(middle({n, 2u, 3u}) == 2 && thrice<3>({n, 2u, 3u}) == 6 && middle(1, {1, float2(4, 3)}) == 5);
  CHECK(_disjunction<is_same<int, float>, is_same<int, int>>::value && !_disjunction<is_same<int, float>>::value);
  CHECK(__is_valid_simdgroup_type<half4>::value && __is_valid_simdgroup_type<uint>::value && !__is_valid_simdgroup_type<bool>::value && !__is_valid_simdgroup_type<Turned>::value);
  nullptr_t none = nullptr;
  CHECK(none == nullptr && numeric_limits<const half>::max() == 65504.0h && numeric_limits<Turned>::max().m[0][1].y == 2);
  threadgroup __attribute__((aligned(16))) float s[4];
  s[0] = 4;
  CHECK(s[0] == 4 && all(mul24(int2(-3), int2(5)) == int2(-15)) && all(insert_bits(uint2(0), uint2(3), 4u, 2u) == uint2(48)));
}
