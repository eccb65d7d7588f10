// Weight formats: how a row of a matrix becomes float32.
//
// Every kernel sees a row as a sequence of *units*, the share of a row that one
// thread takes at a time. A format is a struct of a few numbers and one function:
//
//   unit     weights in a unit
//   run      consecutive columns in a unit; a unit is unit/run runs
//   stride   distance in columns between a unit's runs
//   scales   scales in a unit, each for as many of its weights; 0 if none
//   centre   what read has subtracted from q, in formats with an offset; else 0
//   read     unit u of a row: q[0 … unit/4), and the scales and offsets of
//
//                w = scale·(q + centre) + offset
//
// Q4_0 and its like keep two columns that lie apart in the same byte; with runs
// one thread uses all of a byte. A dot product may visit columns in any order,
// so the kernels place x by column_of, and that is all they need to know. 32
// units are whole blocks of every format. The layouts are those of the GGUF
// specification and, for Affine4 and Affine8, of MLX's mx.quantize.
//
// Apple's GPUs convert integers to floats at a quarter of the rate of additions
// and shift as slowly, but take 16-bit operands for free. So a few bits become a
// number as the fraction of a half whose exponent is right (0x6400 is 1024, in
// steps of 1), and one subtraction, exact, takes the exponent away again.
//
// Packed vectors are aligned like their elements, which is all that the load
// instructions need and all that a file's layout promises.

// Affine4 and Affine8: scales and biases are matrices of their own, of a
// ScaleFormat, one of each for scale_group columns.
constant bool affine [[function_constant(0)]];
constant uint scale_layout [[function_constant(1)]];  // ScaleFormat, and scale_group from bit 2 on
enum ScaleFormat : uint { scales_f32, scales_f16, scales_bf16 };

// The last unit of a row is partial; floating-point formats only.
constant bool ragged [[function_constant(2)]];

struct Matrix {
  device const uchar *data;    // rows of row_bytes
  device const uchar *scales;  // affine formats only
  device const uchar *biases;
  uint row_bytes;
  uint cols;

  device const uchar *row(uint r) const { return data + ulong(r) * row_bytes; }
};

struct Scales {
  float2 scale, offset;
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

// The weights of unit u of row r, each rounded once.
template <typename F> void unpack(thread const Matrix &m, uint r, uint u, thread float4 *w) {
  const Scales s = F::read(m, r, u, w);
  if (F::scales > 0)
    UNROLL for (uint e = 0; e < F::unit / 4; e++) {
      const uint i = e * 4 * F::scales / F::unit;
      w[e] = F::centre > 0 ? fma(w[e] + float(F::centre), float4(s.scale[i]), float4(s.offset[i])) : w[e] * s.scale[i];
    }
}

inline float half_bits(ushort b) { return float(as_type<half>(b)); }
inline float bfloat_bits(ushort b) { return as_type<float>(ushort2(0, b)); }
inline float2 halves(uint b) { return float2(as_type<half2>(b)); }
inline float4 halves(ushort4 b) { return float4(as_type<half4>(b)); }

// Blocks are only 2-byte aligned in a GGUF file.
inline uint word(device const uchar *p) { return as_type<uint>(ushort2(*(device const packed_ushort2 *)p)); }
inline ushort4 four_bytes(device const uchar *p) { return ushort4(*(device const packed_uchar4 *)p); }
inline float2 two_halves(device const uchar *p) { return float2(half2(*(device const packed_half2 *)p)); }
inline float one_half(device const uchar *p) { return float(*(device const half *)p); }

// The even bytes of b hold a nibble at bit 0, or at bit 4: 1024 or 64 and the
// nibble, of bytes 0 and 2.
inline float2 low_nibbles(uint b) { return halves((b & 0x000f000fu) | 0x64006400u); }
inline float2 high_nibbles(uint b) { return halves((b & 0x00f000f0u) | 0x54005400u); }

// Signed bytes: flipping the sign bit makes them 1024 + 128 + q.
inline float4 signed_bytes(ushort4 b) { return halves(b ^ ushort4(0x6480)) - 1152.0f; }

// The low nibbles of four bytes, and the high ones, minus 8.
inline void split_nibbles(uint b, thread float4 &low, thread float4 &high) {
  const float2 low02 = low_nibbles(b), low13 = low_nibbles(b >> 8);
  const float2 high02 = high_nibbles(b), high13 = high_nibbles(b >> 8);
  low = float4(low02.x, low13.x, low02.y, low13.y) - 1032.0f;
  high = float4(high02.x, high13.x, high02.y, high13.y) - 72.0f;
}

// ---- Floating point: q is the weight. A partial unit is filled up with zeros.

struct LoadF32 {
  typedef float element;
  static float one(element v) { return v; }
  static float4 four(device const element *p) { return float4(*(device const packed_float4 *)p); }
};

struct LoadF16 {
  typedef half element;
  static float one(element v) { return float(v); }
  static float4 four(device const element *p) { return float4(half4(*(device const packed_half4 *)p)); }
};

struct LoadBF16 {
  typedef ushort element;
  static float one(element v) { return bfloat_bits(v); }
  static float4 four(device const element *p) {
    const ushort4 b = ushort4(*(device const packed_ushort4 *)p);
    return float4(bfloat_bits(b.x), bfloat_bits(b.y), bfloat_bits(b.z), bfloat_bits(b.w));
  }
};

template <typename Load> struct Float {
  enum { unit = 8, run = 8, stride = 8, scales = 0, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const typename Load::element *p = (device const typename Load::element *)m.row(r) + u * unit;
    if (!ragged || u * unit + unit <= m.cols) {
      q[0] = Load::four(p);
      q[1] = Load::four(p + 4);
    } else {
      UNROLL for (uint i = 0; i < unit; i++)
        q[i / 4][i % 4] = u * unit + i < m.cols ? Load::one(p[i]) : 0.0f;
    }
    return {};
  }
};

typedef Float<LoadF32> F32;
typedef Float<LoadF16> F16;
typedef Float<LoadBF16> BF16;

// ---- GGUF: a block holds its own scale.

struct Q8_0 {  // f16 d, 32 × int8 q; w = d·q
  enum { unit = 8, run = 8, stride = 8, scales = 1, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 4 * 34;
    q[0] = signed_bytes(four_bytes(b + 2 + u % 4 * 8));
    q[1] = signed_bytes(four_bytes(b + 6 + u % 4 * 8));
    return {float2(one_half(b)), float2(0.0f)};
  }
};

struct Q4_0 {  // f16 d, 16 bytes: low nibbles columns 0–15, high ones 16–31; w = d·(q − 8)
  enum { unit = 8, run = 4, stride = 16, scales = 1, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 4 * 18;
    split_nibbles(word(b + 2 + u % 4 * 4), q[0], q[1]);
    return {float2(one_half(b)), float2(0.0f)};
  }
};

struct Q4_1 {  // f16 d, f16 m, nibbles as in Q4_0; w = d·q + m
  enum { unit = 8, run = 4, stride = 16, scales = 1, centre = 8 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 4 * 20;
    split_nibbles(word(b + 4 + u % 4 * 4), q[0], q[1]);
    const float2 d = two_halves(b);
    return {float2(d.x), float2(d.y)};
  }
};

// Five bits: the nibbles of four bytes are the lower ones of columns c … c + 3 and
// c + 16 … c + 19, whose upper ones are bits 0–3 and 16–19 of upper. q − 16.
inline void five_bits(uint b, uint upper, thread float4 &low, thread float4 &high) {
  const uint b13 = b >> 8;
  const uint two = (upper & 0x000f000fu) << 4;  // a column's upper bit, above its nibble
  const uint low02 = (two & 0x10u) | (two << 14 & 0x00100000u), low13 = (two >> 1 & 0x10u) | (two << 13 & 0x00100000u);
  const uint high02 = (two >> 12 & 0x100u) | (two << 2 & 0x01000000u), high13 = (two >> 13 & 0x100u) | (two << 1 & 0x01000000u);
  const float2 l02 = halves((b & 0x000f000fu) | low02 | 0x64006400u), l13 = halves((b13 & 0x000f000fu) | low13 | 0x64006400u);
  const float2 h02 = halves((b & 0x00f000f0u) | high02 | 0x54005400u), h13 = halves((b13 & 0x00f000f0u) | high13 | 0x54005400u);
  low = float4(l02.x, l13.x, l02.y, l13.y) - 1040.0f;
  high = float4(h02.x, h13.x, h02.y, h13.y) - 80.0f;
}

struct Q5_0 {  // f16 d, an upper bit for each column, nibbles as in Q4_0; w = d·(q − 16)
  enum { unit = 8, run = 4, stride = 16, scales = 1, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 4 * 22;
    five_bits(word(b + 6 + u % 4 * 4), word(b + 2) >> u % 4 * 4, q[0], q[1]);
    return {float2(one_half(b)), float2(0.0f)};
  }
};

struct Q5_1 {  // f16 d, f16 m, then as Q5_0; w = d·q + m
  enum { unit = 8, run = 4, stride = 16, scales = 1, centre = 16 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 4 * 24;
    five_bits(word(b + 8 + u % 4 * 4), word(b + 4) >> u % 4 * 4, q[0], q[1]);
    const float2 d = two_halves(b);
    return {float2(d.x), float2(d.y)};
  }
};

// The values of kernels.IQ4Values.
constant half iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

inline float4 iq4(ushort4 i) { return float4(iq4_values[i.x], iq4_values[i.y], iq4_values[i.z], iq4_values[i.w]); }

struct IQ4_NL {  // f16 d, nibbles as in Q4_0, which are indices of values v; w = d·v
  enum { unit = 8, run = 4, stride = 16, scales = 1, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 4 * 18;
    const ushort4 i = four_bytes(b + 2 + u % 4 * 4);
    q[0] = iq4(i & 15);
    q[1] = iq4(i >> 4);
    return {float2(one_half(b)), float2(0.0f)};
  }
};

// 256 columns in 136 bytes: f16 d, 16 upper and 32 lower bits of the 6-bit scales
// s of 8 groups of 32, then 8 × 16 bytes of indices as in IQ4_NL; w = d·(s − 32)·v.
struct IQ4_XS {
  enum { unit = 8, run = 4, stride = 16, scales = 1, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 32 * 136;
    const uint group = u / 4 % 8;
    const ushort4 i = four_bytes(b + 8 + group * 16 + u % 4 * 4);
    q[0] = iq4(i & 15);
    q[1] = iq4(i >> 4);
    const uint upper = *(device const ushort *)(b + 2) >> 2 * group & 3, lower = b[4 + group / 2] >> 4 * (group % 2) & 15;
    const float s = half_bits(ushort(upper << 4 | lower | 0x6400)) - 1056.0f;
    return {float2(one_half(b) * s), float2(0.0f)};
  }
};

// Q2_K and Q3_K: two bits of a column are in a byte with those of columns 32, 64
// and 96 away; a unit is 8 columns of one run of 32 and of the next. The even bytes
// of b hold two bits at bit 0, and at bit 2: 1024 or 256 and the two (or three,
// with those of upper).
inline void bit_pairs(uint b, uint upper, thread float4 &low, thread float4 &high, float least) {
  const uint b13 = b >> 8, upper13 = upper >> 8;
  const float2 low02 = halves((b & 0x00030003u) | (upper & 0x00040004u) | 0x64006400u);
  const float2 low13 = halves((b13 & 0x00030003u) | (upper13 & 0x00040004u) | 0x64006400u);
  const float2 high02 = halves((b & 0x000c000cu) | (upper << 1 & 0x00100010u) | 0x5c005c00u);
  const float2 high13 = halves((b13 & 0x000c000cu) | (upper13 << 1 & 0x00100010u) | 0x5c005c00u);
  low = float4(low02.x, low13.x, low02.y, low13.y) - (1024.0f + least);
  high = float4(high02.x, high13.x, high02.y, high13.y) - (256.0f + least);
}

// 256 columns in 84 bytes: 16 bytes of a 4-bit scale s (low) and minimum m for 16
// columns each, 64 bytes of q, f16 d, f16 dmin; w = d·s·q − dmin·m.
struct Q2_K {
  enum { unit = 16, run = 8, stride = 32, scales = 2, centre = 2 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 16 * 84;
    const uint half = u / 8 % 2, pair = u / 4 % 2, i = u % 4;
    device const uchar *p = b + 16 + 32 * half + 8 * i, *s = b + 8 * half + 4 * pair + i / 2;
    bit_pairs(word(p) >> 4 * pair, 0, q[0], q[2], centre);
    bit_pairs(word(p + 4) >> 4 * pair, 0, q[1], q[3], centre);
    const uint sm = as_type<uint>(ushort2(s[0], s[2]));
    const float2 d = two_halves(b + 80);
    return {d.x * (low_nibbles(sm) - 1024.0f), -d.y * (high_nibbles(sm) - 64.0f)};
  }
};

// 256 columns in 110 bytes: 32 bytes whose bit j is the upper bit of a column of
// run j, 64 bytes of lower bit pairs, 12 bytes of 6-bit scales s for 16 columns
// each (four bits in a nibble of the first 8, two in the last 4), f16 d;
// w = d·(s − 32)·(q − 4).
struct Q3_K {
  enum { unit = 16, run = 8, stride = 32, scales = 2, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 16 * 110;
    const uint half = u / 8 % 2, pair = u / 4 % 2, i = u % 4, runs = 4 * half + 2 * pair;
    device const uchar *p = b + 32 + 32 * half + 8 * i, *upper = b + 8 * i, *s = b + 96 + i / 2;
    bit_pairs(word(p) >> 4 * pair, word(upper) >> runs << 2, q[0], q[2], 4);
    bit_pairs(word(p + 4) >> 4 * pair, word(upper + 4) >> runs << 2, q[1], q[3], 4);
    const uint lower = as_type<uint>(ushort2(s[4 * pair], s[4 * pair + 2])) >> 4 * half & 0x000f000fu;
    const uint high = as_type<uint>(ushort2(s[8], s[10])) >> runs & 0x00030003u;
    return {one_half(b + 108) * (halves(lower | high << 4 | 0x64006400u) - 1056.0f), float2(0.0f)};
  }
};

// What Q4_K and Q5_K begin with: f16 d, f16 dmin, 12 bytes. The scales and minima
// of groups 2·pair and 2·pair + 1.
inline Scales scales_and_minima(device const uchar *b, uint pair) {
  // Groups 0–3 have the lower 6 bits of bytes 0–3 (s) and 4–7 (m), groups 4–7
  // the nibbles of bytes 8–11 and above them the upper 2 bits of those. All
  // four are at work side by side: s and m of both groups.
  device const ushort *h = (device const ushort *)(b + 4 + pair % 2 * 2);
  const uint low = as_type<uint>(ushort2(h[0], h[2]));
  const uint high = as_type<uint>(ushort2(h[4], ushort(h[4] >> 4)));
  const uint sm = pair < 2 ? low & 0x3f3f3f3fu : (high & 0x0f0f0f0fu) | (low >> 2 & 0x30303030u);
  const float2 first = halves((sm & 0x00ff00ffu) | 0x64006400u) - 1024.0f;
  const float2 second = halves((sm >> 8 & 0x00ff00ffu) | 0x64006400u) - 1024.0f;
  const float2 d = two_halves(b);
  return {d.x * float2(first.x, second.x), -d.y * float2(first.y, second.y)};
}

// 256 columns in 144 bytes: f16 d, f16 dmin, 12 bytes of 6-bit scales s and
// minima m for 8 groups of 32, then 4 × 32 bytes whose low nibbles are an even
// group and whose high nibbles are the odd one after it; w = d·s·q − dmin·m.
// A unit is a quarter of such 32 bytes: 8 columns of each of the two groups.
struct Q4_K {
  enum { unit = 16, run = 8, stride = 32, scales = 2, centre = 8 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 16 * 144;
    const uint pair = u / 4 % 4;
    device const uchar *p = b + 16 + 32 * pair + u % 4 * 8;
    split_nibbles(word(p), q[0], q[2]);
    split_nibbles(word(p + 4), q[1], q[3]);
    return scales_and_minima(b, pair);
  }
};

// As Q4_K, with 32 bytes of upper bits before the nibbles: bit j of byte i is of
// column i of group j. 176 bytes.
struct Q5_K {
  enum { unit = 16, run = 8, stride = 32, scales = 2, centre = 16 };
  // As split_nibbles, with upper bits at bit 0 (low) and 1 (high) of bytes: q − 16.
  static void split(uint b, uint upper, thread float4 &low, thread float4 &high) {
    const uint b13 = b >> 8, upper02 = upper << 7, upper13 = upper >> 1;
    const float2 low02 = halves((b & 0x000f000fu) | (upper02 >> 3 & 0x00100010u) | 0x64006400u);
    const float2 low13 = halves((b13 & 0x000f000fu) | (upper13 >> 3 & 0x00100010u) | 0x64006400u);
    const float2 high02 = halves((b & 0x00f000f0u) | (upper02 & 0x01000100u) | 0x54005400u);
    const float2 high13 = halves((b13 & 0x00f000f0u) | (upper13 & 0x01000100u) | 0x54005400u);
    low = float4(low02.x, low13.x, low02.y, low13.y) - 1040.0f;
    high = float4(high02.x, high13.x, high02.y, high13.y) - 80.0f;
  }
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 16 * 176;
    const uint pair = u / 4 % 4, i = u % 4 * 8;
    device const uchar *p = b + 48 + 32 * pair + i, *upper = b + 16 + i;
    split(word(p), word(upper) >> 2 * pair, q[0], q[2]);
    split(word(p + 4), word(upper + 4) >> 2 * pair, q[1], q[3]);
    return scales_and_minima(b, pair);
  }
};

// 256 columns in 210 bytes: low 4 bits (128 bytes), high 2 bits (64 bytes), 16
// int8 scales s for groups of 16, f16 d; w = d·s·(q − 32). Half of the columns
// (128) at a time: byte i of 64 low-bit bytes holds column i in its low nibble
// and 64 + i in its high one; byte i of 32 high-bit bytes holds the upper bits
// of columns i, 32 + i, 64 + i and 96 + i. A unit is four low-bit bytes.
struct Q6_K {
  enum { unit = 8, run = 4, stride = 64, scales = 2, centre = 0 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *b = m.row(r) + u / 32 * 210;
    const uint n = u / 16 % 2, i = u % 16 * 4;
    const uint low = word(b + 64 * n + i), high = word(b + 128 + 32 * n + i % 32);
    // The upper bits of the two columns of a byte lie 4 apart; they go above
    // their nibbles, at bits 4 and 8.
    const uint up = i < 32 ? 4 : 2;
    const uint even = high << up, odd = high >> (8 - up);
    const uint low_odd = low >> 8;
    const float2 l02 = halves((low & 0x000f000fu) | (even & 0x00300030u) | 0x64006400u);
    const float2 l13 = halves((low_odd & 0x000f000fu) | (odd & 0x00300030u) | 0x64006400u);
    const float2 h02 = halves((low & 0x00f000f0u) | (even & 0x03000300u) | 0x54005400u);
    const float2 h13 = halves((low_odd & 0x00f000f0u) | (odd & 0x03000300u) | 0x54005400u);
    q[0] = float4(l02.x, l13.x, l02.y, l13.y) - 1056.0f;
    q[1] = float4(h02.x, h13.x, h02.y, h13.y) - 96.0f;
    device const uchar *s = b + 192 + 8 * n + i / 16;
    const float2 scale = halves(as_type<uint>(ushort2(s[0], s[4])) ^ 0x64806480u) - 1152.0f;
    return {one_half(b + 208) * scale, float2(0.0f)};
  }
};

// ---- MLX: w = scale·q + bias. A group is a whole number of units.

inline float scale_at(device const uchar *p, ulong i) {
  if (scale_layout % 4 == scales_f32)
    return ((device const float *)p)[i];
  const ushort b = ((device const ushort *)p)[i];
  return scale_layout % 4 == scales_f16 ? half_bits(b) : bfloat_bits(b);
}

inline Scales scale_bias(thread const Matrix &m, uint r, uint column) {
  const uint scale_group = scale_layout / 4;
  const ulong g = ulong(r) * (m.cols / scale_group) + column / scale_group;
  return {float2(scale_at(m.scales, g)), float2(scale_at(m.biases, g))};
}

struct Affine4 {  // eight columns in a 32-bit word, the first in its low nibble
  enum { unit = 8, run = 8, stride = 8, scales = 1, centre = 8 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    const uint b = ((device const uint *)m.row(r))[u];
    const float2 n04 = low_nibbles(b), n26 = low_nibbles(b >> 8);
    const float2 n15 = high_nibbles(b), n37 = high_nibbles(b >> 8);
    const float4 bits = float4(1032.0f, 72.0f, 1032.0f, 72.0f);
    q[0] = float4(n04.x, n15.x, n26.x, n37.x) - bits;
    q[1] = float4(n04.y, n15.y, n26.y, n37.y) - bits;
    return scale_bias(m, r, u * unit);
  }
};

struct Affine8 {  // four columns in a 32-bit word, the first in its low byte
  enum { unit = 8, run = 8, stride = 8, scales = 1, centre = 128 };
  static Scales read(thread const Matrix &m, uint r, uint u, thread float4 *q) {
    device const uchar *p = m.row(r) + u * 8;
    UNROLL for (uint i = 0; i < 2; i++)
      q[i] = halves(four_bytes(p + 4 * i) | ushort4(0x6400)) - 1152.0f;
    return scale_bias(m, r, u * unit);
  }
};
