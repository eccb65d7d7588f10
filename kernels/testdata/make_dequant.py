"""Writes dequant.safetensors: random blocks of every quantised format and what
gguf's numpy dequantisers (pip: gguf) and mlx.core.dequantize (pip: mlx[cpu])
make of them. Run it in this folder; the file is committed."""
import gguf, mlx.core as mx, numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from safetensors.numpy import save_file

rng = np.random.default_rng(1)
out = {}


def half(n):  # scales of every size, positive and negative, subnormal ones too
    v = rng.standard_normal(n) * 2.0 ** rng.integers(-26, 4, n)
    return v.astype(np.float16)


ROWS, BLOCKS = 4, 2
halves = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q4_K: [0, 2], T.Q6_K: [208]}
later = {T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q5_K: [0, 2], T.IQ4_NL: [0], T.IQ4_XS: [0]}


def blocks(t, places):
    cols, size = GGML_QUANT_SIZES[t]
    b = rng.integers(0, 256, (ROWS * BLOCKS, size), dtype=np.uint8)
    for p in places:
        b[:, p:p + 2] = half(len(b)).view(np.uint8).reshape(-1, 2)
    b = b.reshape(ROWS, BLOCKS * size)
    out[t.name + ".data"] = b
    out[t.name + ".want"] = gguf.quants.dequantize(b, t).astype(np.float32)


for t, places in halves.items():
    blocks(t, places)
for bits in 4, 8:
    for group in 32, 64, 128:
        name = f"Affine{bits}.{group}"
        q = rng.integers(0, 2**32, (ROWS, 256 * bits // 32), dtype=np.uint32)
        s = rng.standard_normal((ROWS, 256 // group)).astype(np.float32)
        z = rng.standard_normal((ROWS, 256 // group)).astype(np.float32)
        w = mx.dequantize(mx.array(q), mx.array(s), mx.array(z), group_size=group, bits=bits)
        out[name + ".data"], out[name + ".scales"], out[name + ".biases"] = q, s, z
        out[name + ".want"] = np.array(w)

for t, places in later.items():  # last, so that the others stay as they were
    blocks(t, places)

save_file(out, "dequant.safetensors")
