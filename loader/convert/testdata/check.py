"""Reads a GGUF file with the gguf package: prints its metadata and, for each
tensor, its type, shape, the SHA-256 of its bytes and of its float32 values; and,
with the float32 file that it was made from, the SHA-256 of what the package
itself makes of those values."""
import hashlib
import json
import sys

import gguf
import numpy as np


def values(t):
    return np.ascontiguousarray(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) + np.float32(0))  # −0 becomes 0


def sha(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()


reader = gguf.GGUFReader(sys.argv[1])
exact = {t.name: values(t) for t in gguf.GGUFReader(sys.argv[2]).tensors}
tensors = {}
for t in reader.tensors:
    entry = {"Type": t.tensor_type.name, "Shape": [int(n) for n in reversed(t.shape)], "Data": sha(t.data), "Values": sha(values(t))}
    if t.tensor_type.name in ("Q8_0", "Q4_0", "F16", "BF16"):
        entry["Theirs"] = sha(gguf.quants.quantize(exact[t.name], t.tensor_type))
    tensors[t.name] = entry
fields = {k: (len(f.data) if f.types[0] == gguf.GGUFValueType.ARRAY and len(f.data) > 100 else f.contents()) for k, f in reader.fields.items()}
json.dump({"Fields": fields, "Tensors": tensors}, sys.stdout)
