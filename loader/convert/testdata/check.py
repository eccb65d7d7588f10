"""Reads GGUF files with the gguf package: prints, for each, its metadata and, for
each tensor, its type, shape, the SHA-256 of its bytes and of its float32 values;
and, where the package can write the type, the SHA-256 of what it makes of the
values in the first file, which is the float32 one."""
import hashlib
import json
import sys

import gguf
import numpy as np


def values(t):
    return np.ascontiguousarray(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) + np.float32(0))  # −0 becomes 0


def sha(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()


exact = {t.name: values(t) for t in gguf.GGUFReader(sys.argv[1]).tensors}


def describe(path):
    reader = gguf.GGUFReader(path)
    tensors = {}
    for t in reader.tensors:
        entry = {"Type": t.tensor_type.name, "Shape": [int(n) for n in reversed(t.shape)], "Data": sha(t.data), "Values": sha(values(t))}
        if t.tensor_type.name in ("Q8_0", "Q4_0", "F16", "BF16"):
            entry["Theirs"] = sha(gguf.quants.quantize(exact[t.name], t.tensor_type))
        tensors[t.name] = entry
    fields = {k: (len(f.data) if f.types[0] == gguf.GGUFValueType.ARRAY and len(f.data) > 100 else f.contents()) for k, f in reader.fields.items()}
    return {"Fields": fields, "Tensors": tensors}


json.dump({path: describe(path) for path in sys.argv[1:]}, sys.stdout)
