"""Writes vectors.safetensors: weights, and what others make of them. Run it in
this folder; the file is committed.

x.*          rows of weights of several distributions, and importances of their columns
gguf.*       blocks of the gguf package (pip: gguf==0.19.0): Q8_0, Q4_0
mlx.*        mlx.core.quantize (pip: mlx[cpu]): 4 and 8 bits, groups of 32, 64, 128, f32, f16 and bf16
llama.*      sums of squared errors, weighted by the importances, of ggml's quantize_q4_K, _q5_K and _q6_K
             (llama.cpp as in llama-cpp-python 0.3.36), without and with an importance matrix.
             GGML_QUANTIZE names a program that calls them: type rows cols importances, floats in, blocks out
"""
import os
import subprocess

import gguf
import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

rng = np.random.default_rng(7)
COLS = 512
rows = [
    rng.standard_normal(COLS) * 0.02,  # as weights are
    rng.standard_t(3, COLS) * 0.02,  # with outliers
    rng.uniform(-1, 1, COLS),
    np.abs(rng.standard_normal(COLS)),  # nothing below zero
    rng.standard_normal(COLS) * np.exp(rng.standard_normal(COLS)),
    0.5 + 0.01 * rng.standard_normal(COLS),  # far from zero
    np.where(rng.random(COLS) < 0.9, 0, rng.standard_normal(COLS)),
    rng.standard_normal(COLS) * 1e-6,
    np.zeros(COLS),
]
x = np.array(rows, np.float32)
x[0, :32] = 0
x[0, 40] = -x[0, 41]
importance = (rng.standard_normal(COLS) ** 2 * np.exp(rng.standard_normal(COLS))).astype(np.float32)
out = {"x": x, "importance": importance}
for t in T.Q8_0, T.Q4_0:
    out["gguf." + t.name] = gguf.quants.quantize(x, t)
for name, dtype in ("F32", mx.float32), ("F16", mx.float16), ("BF16", mx.bfloat16):
    for bits in 4, 8:
        for group in 32, 64, 128:
            w = mx.array(x).astype(dtype)
            q, s, b = mx.quantize(w, group_size=group, bits=bits)
            key = f"mlx.{name}.{bits}.{group}."
            out[key + "q"] = np.array(q)
            for part, v in ("scales", s), ("biases", b):
                out[key + part] = np.array(v) if dtype != mx.bfloat16 else np.array(v.view(mx.uint16))

for t in T.Q4_K, T.Q5_K, T.Q6_K:
    for use in 0, 1:
        data = x.tobytes() + importance.tobytes() * use
        raw = subprocess.run([os.environ["GGML_QUANTIZE"], str(int(t)), str(len(x)), str(COLS), str(use)],
                             input=data, stdout=subprocess.PIPE, check=True).stdout
        back = gguf.quants.dequantize(np.frombuffer(raw, np.uint8).reshape(len(x), -1), t)
        weight = importance.astype(np.float64) if use else 1.0
        out[f"llama.{t.name}.{use}"] = (weight * (x.astype(np.float64) - back) ** 2).sum(axis=1)
save_file(out, "vectors.safetensors")
