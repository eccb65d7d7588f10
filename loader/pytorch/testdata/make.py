"""Makes the files of this folder: python3 make.py, with torch 2.15.0 from PyPI.

expected.json has what torch itself says of each file's tensors: type, shape,
whether they are contiguous, and the bytes of their elements in order.
"""
import collections
import json

import torch

torch.manual_seed(1)


def describe(tensors):
    out = {}
    for name, t in tensors.items():
        raw = t.contiguous().flatten().view(torch.uint8) if t.numel() else torch.zeros(0, dtype=torch.uint8)
        out[name] = {
            "dtype": str(t.dtype).removeprefix("torch."),
            "shape": list(t.shape),
            "dense": t.is_contiguous(),
            "bytes": bytes(raw.tolist()).hex(),
        }
    return out


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(4, bias=False)
        self.proj = torch.nn.Linear(4, 6, bias=False)
        self.register_buffer("steps", torch.tensor(7))


expected = {}


def save(name, value, **options):
    torch.save(value, name, **options)
    top = {k: v for k, v in value.items() if isinstance(v, torch.Tensor)}
    dicts = {k: describe({n: t for n, t in v.items() if isinstance(t, torch.Tensor)})
             for k, v in value.items() if isinstance(v, dict)}
    expected[name] = {"tensors": describe(top), "dicts": dicts}


model = Block()
table = torch.randn(5, 4)
kinds = {
    "f64": torch.randn(2, 3, dtype=torch.float64), "f32": table, "tied": table,
    "f16": torch.randn(3, 2).half(), "bf16": torch.randn(2, 2, 2).bfloat16(),
    "i64": torch.arange(3), "i32": torch.arange(-2, 2, dtype=torch.int32), "i16": torch.arange(3, dtype=torch.int16),
    "i8": torch.tensor([-1, 1], dtype=torch.int8), "u8": torch.tensor([255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "rows": table[1:3], "columns": table[:, 1:3], "transposed": table.t(), "expanded": torch.randn(1, 2).expand(3, 2),
    "one row": table[2:3], "scalar": torch.tensor(2.5), "empty": torch.empty(0, 3),
    "parameter": torch.nn.Parameter(torch.randn(2)), "": torch.ones(1), "größe": torch.ones(1),
}
optimizer = torch.optim.AdamW(model.parameters())
model.proj(model.norm(torch.randn(2, 4))).sum().backward()
optimizer.step()
training = {
    "iterations": 350000, "epoch": -1, "best_metric": 2.75, "is_interval_ckpt": True, "none": None, "huge": 1 << 80,
    "model_state_dict": model.state_dict(), "ema_state_dict": collections.OrderedDict(model.state_dict()),
    "optim_state_dict": optimizer.state_dict(), "gradient_scaler_state_dict": {},
    "lists": [(1, 2, 3, 4), {1}, [b"bytes"]], "counts": collections.defaultdict(list), "device": torch.device("cpu"),
    "dtype": torch.bfloat16, "size": torch.Size([1, 2]),
}

save("state.pt", model.state_dict())
save("kinds.pt", kinds)
save("kinds-protocol4.pt", kinds, pickle_protocol=4)
save("training.pt", training)
torch.save(kinds, "legacy.bin", _use_new_zipfile_serialization=False)
torch.save(model, "module.bin")  # a whole program: refused
torch.jit.script(torch.nn.Linear(2, 2)).save("script.bin")
json.dump(expected, open("expected.json", "w"), indent=1, ensure_ascii=False)
