"""OpenELM in plain PyTorch, as fast as eager mode runs it, for bench.

usage: torch_peer.py CHECKPOINT THREADS DEVICE

Reads requests from standard input, one a line, and answers each with tokens per
second: "prefill TOKENS" or "decode TOKENS CONTEXT". The first line it writes is
"ready" and PyTorch's version.
"""
import json
import mmap
import os
import sys
import time
import warnings

import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")  # of memory that is mapped read-only
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read(directory, device):
    """The tensors of a directory's safetensors files."""
    tensors = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(directory, name), "rb") as f:
            data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        size = int.from_bytes(data[:8], "little")
        for key, t in json.loads(data[8 : 8 + size]).items():
            if key == "__metadata__":
                continue
            begin, end = t["data_offsets"]
            dtype = DTYPES[t["dtype"]]
            count = (end - begin) // dtype.itemsize
            flat = torch.frombuffer(data, dtype=dtype, count=count, offset=8 + size + begin)
            tensors[key] = flat.reshape(t["shape"]).clone().to(device)
    return tensors


class Model:
    def __init__(self, directory, device):
        with open(os.path.join(directory, "config.json")) as f:
            c = json.load(f)
        self.w, self.device = read(directory, device), device
        self.dim, self.head, self.eps = c["model_dim"], c["head_dim"], c.get("rms_norm_eps", 1e-6)
        self.base, self.count = c["rope_freq_constant"], c["num_transformer_layers"]
        self.embedding = self.w["transformer.token_embeddings.weight"]
        self.out = self.w.get("lm_head.weight", self.embedding)

    def reserve(self, capacity):
        """Keys and values of every layer, and the rotations of every position."""
        dtype, hd = self.embedding.dtype, self.head
        self.cache = []
        for i in range(self.count):
            rows = self.w[f"transformer.layers.{i}.attn.qkv_proj.weight"].shape[0] // hd
            queries = self.w[f"transformer.layers.{i}.attn.out_proj.weight"].shape[1] // hd
            kv = (rows - queries) // 2
            new = lambda: torch.zeros(1, kv, capacity, hd, dtype=dtype, device=self.device)
            self.cache.append((queries, kv, new(), new()))
        frequencies = self.base ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd)
        angles = torch.outer(torch.arange(capacity, dtype=torch.float64), frequencies)
        angles = torch.cat([angles, angles], 1)
        self.cos = angles.cos().to(self.device, dtype)
        self.sin = angles.sin().to(self.device, dtype)

    def rotate(self, x, at, n):
        a, b = x.chunk(2, -1)
        return x * self.cos[at : at + n] + torch.cat([-b, a], -1) * self.sin[at : at + n]

    def forward(self, tokens, at):
        """The logits after tokens, which stand at position at on."""
        n, hd = tokens.shape[0], self.head
        x = F.embedding(tokens, self.embedding)
        for i, (queries, kv, keys, values) in enumerate(self.cache):
            weight = lambda name: self.w.get(f"transformer.layers.{i}.{name}.weight")
            y = F.linear(F.rms_norm(x, (self.dim,), weight("attn_norm"), self.eps), weight("attn.qkv_proj"))
            q, k, v = y.view(1, n, -1, hd).transpose(1, 2).split([queries, kv, kv], 1)
            if weight("attn.q_norm") is not None:
                q = F.rms_norm(q, (hd,), weight("attn.q_norm"), self.eps)
                k = F.rms_norm(k, (hd,), weight("attn.k_norm"), self.eps)
            keys[:, :, at : at + n] = self.rotate(k, at, n)
            values[:, :, at : at + n] = v
            y = F.scaled_dot_product_attention(
                self.rotate(q, at, n), keys[:, :, : at + n], values[:, :, : at + n],
                is_causal=n > 1, enable_gqa=True)  # n > 1 only at position 0
            x = x + F.linear(y.transpose(1, 2).reshape(n, -1), weight("attn.out_proj"))
            y = F.linear(F.rms_norm(x, (self.dim,), weight("ffn_norm"), self.eps), weight("ffn.proj_1"))
            gate, up = y.chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, weight("ffn.proj_2"))
        last = F.rms_norm(x[-1:], (self.dim,), self.w["transformer.norm.weight"], self.eps)
        return F.linear(last, self.out)[0]

    def synchronize(self):
        if self.device == "mps":
            torch.mps.synchronize()


def main():
    directory, threads, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if threads > 0:
        torch.set_num_threads(threads)
    if device == "mps" and not torch.backends.mps.is_available():
        sys.exit("this PyTorch has no MPS device")
    model = Model(directory, device)
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        kind, *numbers = line.split()
        tokens, context = ([int(v) for v in numbers] + [0])[:2]
        ids = torch.randint(3, model.embedding.shape[0], (tokens + context,), device=device)
        model.reserve(tokens + context)
        if context:
            model.forward(ids[:context], 0)
        model.synchronize()
        start = time.perf_counter()
        if kind == "prefill":
            model.forward(ids, 0)
        else:
            for i in range(context, context + tokens):
                model.forward(ids[i : i + 1], i)
        model.synchronize()
        print(tokens / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
