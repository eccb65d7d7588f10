// What matvec.metal and matmul.metal share: the operands of a linear operation
// and what happens to a finished sum.
//
//   v    = Σ_k W[o,k]·x[k]                        or, with has_norm,
//   v    = 1/rms(x) · Σ_k W[o,k]·x[k]·norm[k]
//   v    = row_scale[o] · (v + Σ_j B[o,j]·t[j])   adapter, t = A·(what W multiplies)
//   y[o] = v, silu(v), silu(v)·factor[o], silu(v)·v_up or y[o] + v
//
// 1/rms(x) is applied to the sum, so that x is read once for the norm and the
// product. Function constants choose; what is not chosen costs nothing.

constant bool has_norm [[function_constant(3)]];
constant bool has_residual [[function_constant(4)]];  // y += v
constant bool has_silu [[function_constant(5)]];      // implied by has_factor and has_up
constant bool has_factor [[function_constant(6)]];
constant bool has_up [[function_constant(7)]];  // gate and up in one pass over x
constant bool has_lora [[function_constant(8)]];
constant bool has_row_scale [[function_constant(9)]];
constant bool has_up_lora [[function_constant(10)]];
constant bool has_up_row_scale [[function_constant(11)]];
constant bool has_affine_up [[function_constant(12)]];  // up, and both are affine

struct LinearArgs {
  uint rows;       // of x and y
  uint cols;       // of W and x
  uint outs;       // rows of W, columns of y
  uint row_bytes;  // of W
  uint rank;       // of the adapter
  uint up_rank;    // of up's adapter
  float eps;
};

// A LoRA or DoRA adapter: B is [outs, rank], t [rows, rank].
struct Adapter {
  device const float *b;
  device const float *t;
  device const float *row_scale;
  uint rank;

  float add(float v, uint row, uint out) const {
    for (uint j = 0; j < rank; j++)
      v = fma(b[ulong(out) * rank + j], t[ulong(row) * rank + j], v);
    return v;
  }
};

struct Epilogue {
  device float *y;  // [rows, outs]
  device const float *factor;
  Adapter gate, up;
  uint outs;

  void write(uint row, uint out, float v, float v_up) const {
    const ulong i = ulong(row) * outs + out;
    if (has_lora)
      v = gate.add(v, row, out);
    if (has_row_scale)
      v *= gate.row_scale[out];
    if (has_up_lora)
      v_up = up.add(v_up, row, out);
    if (has_up_row_scale)
      v_up *= up.row_scale[out];
    if (has_silu)
      v /= 1.0f + exp(-v);
    if (has_factor)
      v *= factor[i];
    if (has_up)
      v *= v_up;
    y[i] = has_residual ? y[i] + v : v;
  }
};
