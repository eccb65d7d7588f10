// Weight formats: how a row of a matrix becomes float32.
//
// Every kernel sees a row as a sequence of *units*, the share of a row that one
// thread unpacks at a time. A format is a struct of three numbers and one
// function:
//
//   unit    weights in a unit
//   run     consecutive columns in a unit; a unit is unit/run runs
//   stride  distance in columns between a unit's runs
//   unpack  w[0 … unit/4) = the weights of unit u of a row
//
// Q4_K and Q6_K keep columns that lie 32 apart in the same byte; with runs one
// thread reads each such byte once and uses all of it. A dot product may visit
// columns in any order, so the kernels place x by column_of, and that is all
// they need to know. The layouts are those of the GGUF specification and, for
// Affine4 and Affine8, of MLX's mx.quantize.

#include <metal_stdlib>
using namespace metal;

// The matrix is so aligned that four weights can be loaded as one vector.
constant bool wide_weights [[function_constant(0)]];

// Affine4 and Affine8: scales and biases are matrices of their own, of this format.
constant bool affine [[function_constant(1)]];
constant uint scale_format [[function_constant(2)]];
enum ScaleFormat : uint { scales_f32, scales_f16, scales_bf16 };

struct Matrix {
  device const uchar *data;    // rows of row_bytes
  device const uchar *scales;  // affine formats only: cols/group a row
  device const uchar *biases;
  uint row_bytes;
  uint cols;
  uint group;

  device const uchar *row(uint r) const { return data + ulong(r) * row_bytes; }
};

// The first column of unit u.
template <typename F> uint first_column(uint u) {
  const uint per = F::stride / F::run;  // units that interleave their runs
  return u / per * per * F::unit + u % per * F::run;
}

// The column of element e of the unit that begins at column first.
template <typename F> uint column_of(uint first, uint e) {
  return first + e / F::run * F::stride + e % F::run;
}

inline float half_bits(ushort b) { return float(as_type<half>(b)); }
inline float bfloat_bits(ushort b) { return as_type<float>(uint(b) << 16); }

// Blocks are only 2-byte aligned in a GGUF file.
inline uint word(device const ushort *p) { return uint(p[0]) | uint(p[1]) << 16; }

inline float4 low_nibbles(uint q) { return float4(as_type<uchar4>(q & 0x0f0f0f0fu)); }
inline float4 high_nibbles(uint q) { return float4(as_type<uchar4>(q >> 4 & 0x0f0f0f0fu)); }

// ---- Floating point: eight columns; the last unit of a row may be partial and
// is filled up with zeros.

struct LoadF32 {
  static float one(device const uchar *row, uint c) { return ((device const float *)row)[c]; }
  static float4 four(device const uchar *row, uint c) { return *(device const float4 *)(row + 4 * c); }
};

struct LoadF16 {
  static float one(device const uchar *row, uint c) { return half_bits(((device const ushort *)row)[c]); }
  static float4 four(device const uchar *row, uint c) { return float4(*(device const half4 *)(row + 2 * c)); }
};

struct LoadBF16 {
  static float one(device const uchar *row, uint c) { return bfloat_bits(((device const ushort *)row)[c]); }
  static float4 four(device const uchar *row, uint c) {
    return as_type<float4>(uint4(*(device const ushort4 *)(row + 2 * c)) << 16);
  }
};

template <typename Load> struct Float {
  enum { unit = 8, run = 8, stride = 8 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    device const uchar *row = m.row(r);
    const uint c = u * unit;
    if (wide_weights && c + unit <= m.cols) {
      w[0] = Load::four(row, c);
      w[1] = Load::four(row, c + 4);
      return;
    }
    for (uint i = 0; i < unit; i++)
      w[i / 4][i % 4] = c + i < m.cols ? Load::one(row, c + i) : 0.0f;
  }
};

typedef Float<LoadF32> F32;
typedef Float<LoadF16> F16;
typedef Float<LoadBF16> BF16;

// ---- GGUF: a block holds its own scale.

struct Q8_0 {  // f16 d, 32 × int8 q; w = d·q
  enum { unit = 32, run = 32, stride = 32 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    device const ushort *b = (device const ushort *)(m.row(r) + u * 34);
    const float d = half_bits(b[0]);
    for (int i = 0; i < 8; i++)
      w[i] = d * float4(as_type<char4>(word(b + 1 + 2 * i)));
  }
};

struct Q4_0 {  // f16 d, 16 bytes: low nibbles columns 0–15, high ones 16–31; w = d·(q − 8)
  enum { unit = 32, run = 32, stride = 32 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    device const ushort *b = (device const ushort *)(m.row(r) + u * 18);
    const float d = half_bits(b[0]);
    for (int i = 0; i < 4; i++) {
      const uint q = word(b + 1 + 2 * i);
      w[i] = d * (low_nibbles(q) - 8.0f);
      w[i + 4] = d * (high_nibbles(q) - 8.0f);
    }
  }
};

struct Q4_1 {  // f16 d, f16 m, nibbles as in Q4_0; w = d·q + m
  enum { unit = 32, run = 32, stride = 32 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    device const ushort *b = (device const ushort *)(m.row(r) + u * 20);
    const float d = half_bits(b[0]), min = half_bits(b[1]);
    for (int i = 0; i < 4; i++) {
      const uint q = word(b + 2 + 2 * i);
      w[i] = d * low_nibbles(q) + min;
      w[i + 4] = d * high_nibbles(q) + min;
    }
  }
};

// 256 columns in 144 bytes: f16 d, f16 dmin, 12 bytes of 6-bit scales s and
// minima m for 8 groups of 32, then 4 × 32 bytes whose low nibbles are an even
// group and whose high nibbles are the odd one after it; w = d·s·q − dmin·m.
// A unit is half of such 32 bytes: 16 columns of each of the two groups.
struct Q4_K {
  enum { unit = 32, run = 16, stride = 32 };
  static float2 scale_min(device const uchar *s, uint g) {
    if (g < 4)
      return float2(s[g] & 63, s[g + 4] & 63);
    return float2((s[g + 4] & 15) | (s[g - 4] >> 6) << 4, s[g + 4] >> 4 | (s[g] >> 6) << 4);
  }
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    device const uchar *b = m.row(r) + u / 8 * 144;
    const uint pair = u / 2 % 4;
    device const ushort *h = (device const ushort *)b;
    const float2 d = float2(half_bits(h[0]), -half_bits(h[1]));
    const float2 lo = d * scale_min(b + 4, 2 * pair), hi = d * scale_min(b + 4, 2 * pair + 1);
    device const ushort *q = h + 8 + 16 * pair + 8 * (u % 2);
    for (int i = 0; i < 4; i++) {
      const uint v = word(q + 2 * i);
      w[i] = lo.x * low_nibbles(v) + lo.y;
      w[i + 4] = hi.x * high_nibbles(v) + hi.y;
    }
  }
};

// 256 columns in 210 bytes: low 4 bits (128 bytes), high 2 bits (64 bytes), 16
// int8 scales s for groups of 16, f16 d; w = d·s·(q − 32). Half of the columns
// (128) at a time: byte i of 64 low-bit bytes holds column i in its low nibble
// and 64 + i in its high one; byte i of 32 high-bit bytes holds the upper bits
// of columns i, 32 + i, 64 + i and 96 + i. A unit is 8 columns of each of those
// four.
struct Q6_K {
  enum { unit = 32, run = 8, stride = 32 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    device const uchar *b = m.row(r) + u / 8 * 210;
    const uint n = u / 4 % 2, first = u % 4 * 8;
    device const ushort *ql = (device const ushort *)(b + 64 * n + first);
    device const ushort *qh = (device const ushort *)(b + 128 + 32 * n + first);
    device const char *s = (device const char *)(b + 192 + 8 * n + first / 16);
    const float d = half_bits(*(device const ushort *)(b + 208));
    for (int i = 0; i < 2; i++) {
      const uint a = word(ql + 2 * i), c = word(ql + 16 + 2 * i), h = word(qh + 2 * i);
      w[i] = d * s[0] * (low_nibbles(a) + 16.0f * float4(as_type<uchar4>(h & 0x03030303u)) - 32.0f);
      w[i + 2] = d * s[2] * (low_nibbles(c) + 16.0f * float4(as_type<uchar4>(h >> 2 & 0x03030303u)) - 32.0f);
      w[i + 4] = d * s[4] * (high_nibbles(a) + 16.0f * float4(as_type<uchar4>(h >> 4 & 0x03030303u)) - 32.0f);
      w[i + 6] = d * s[6] * (high_nibbles(c) + 16.0f * float4(as_type<uchar4>(h >> 6 & 0x03030303u)) - 32.0f);
    }
  }
};

// ---- MLX: w = scale·q + bias, one of each for group columns, in matrices of
// their own. Groups are multiples of 32 columns, so a unit lies in one group.
// A bias may cancel most of scale·q, hence the fused multiply-add.

inline float scale_at(device const uchar *p, ulong i) {
  if (scale_format == scales_f32)
    return ((device const float *)p)[i];
  const ushort b = ((device const ushort *)p)[i];
  return scale_format == scales_f16 ? half_bits(b) : bfloat_bits(b);
}

inline float2 scale_bias(thread const Matrix &m, uint r, uint column) {
  const ulong g = ulong(r) * (m.cols / m.group) + column / m.group;
  return float2(scale_at(m.scales, g), scale_at(m.biases, g));
}

struct Affine4 {  // eight columns in a 32-bit word, the first in its low nibble
  enum { unit = 32, run = 32, stride = 32 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    const float2 sb = scale_bias(m, r, u * unit);
    device const uint *p = (device const uint *)m.row(r) + 4 * u;
    for (int i = 0; i < 4; i++) {
      const float4 even = low_nibbles(p[i]), odd = high_nibbles(p[i]);
      w[2 * i] = fma(float4(even.x, odd.x, even.y, odd.y), float4(sb.x), float4(sb.y));
      w[2 * i + 1] = fma(float4(even.z, odd.z, even.w, odd.w), float4(sb.x), float4(sb.y));
    }
  }
};

struct Affine8 {  // four columns in a 32-bit word, the first in its low byte
  enum { unit = 32, run = 32, stride = 32 };
  static void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
    const float2 sb = scale_bias(m, r, u * unit);
    device const uint *p = (device const uint *)m.row(r) + 8 * u;
    for (int i = 0; i < 8; i++)
      w[i] = fma(float4(as_type<uchar4>(p[i])), float4(sb.x), float4(sb.y));
  }
};
