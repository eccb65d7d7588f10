"""Loads folders with mlx-lm and prints, for each, the tokens of a text and the
logits of every one of them. Arguments: the text, and the folders."""
import json
import sys

import mlx.core as mx
import mlx_lm

mx.set_default_device(mx.cpu)
result = {}
for path in sys.argv[2:]:
    model, tokenizer = mlx_lm.load(path)
    tokens = [int(id) for id in tokenizer.encode(sys.argv[1])]
    logits = model(mx.array([tokens]))[0].astype(mx.float32)
    result[path] = {"Tokens": tokens, "Logits": [float(v) for v in logits.reshape(-1).tolist()]}
json.dump(result, sys.stdout)
