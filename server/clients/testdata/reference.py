"""OpenELM in float64, after its paper, for lm-evaluation-harness.

Nothing of it is the project's: weights are read by numpy, the tokenizer is
Hugging Face's, and the whole text is evaluated anew for each token generated.
"""

import json
import os

import numpy as np
from lm_eval import utils
from lm_eval.api.model import TemplateLM
from tokenizers import Tokenizer


class Model:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            self.config = json.load(f)
        with open(os.path.join(folder, "model.safetensors"), "rb") as f:
            n = int.from_bytes(f.read(8), "little")
            header, data = json.loads(f.read(n)), f.read()
        self.w = {}
        for name, t in header.items():
            if name != "__metadata__":
                assert t["dtype"] == "BF16", name
                begin, end = t["data_offsets"]
                bits = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
                self.w[name.removeprefix("transformer.")] = bits.view(np.float32).astype(np.float64).reshape(t["shape"])

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * self.w[name + ".weight"]

    def rotate(self, x):  # [heads, positions, dim]
        d = x.shape[-1]
        angle = np.outer(np.arange(x.shape[1]), self.config["rope_freq_constant"] ** (-np.arange(0, d, 2) / d))
        a, b = x[..., : d // 2], x[..., d // 2 :]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)

    def logprobs(self, tokens):
        """What follows each token: [tokens, vocabulary]."""
        c, w, n = self.config, self.w, len(tokens)
        d = c["head_dim"]
        x = w["token_embeddings.weight"][tokens]
        future = np.triu(np.full((n, n), -np.inf), 1)
        for i in range(c["num_transformer_layers"]):
            p = f"layers.{i}."
            q_heads, kv_heads = c["num_query_heads"][i], c["num_kv_heads"][i]
            heads = (self.norm(x, p + "attn_norm") @ w[p + "attn.qkv_proj.weight"].T).reshape(n, -1, d).swapaxes(0, 1)
            q, k, v = np.split(heads, [q_heads, q_heads + kv_heads])
            q, k = self.rotate(self.norm(q, p + "attn.q_norm")), self.rotate(self.norm(k, p + "attn.k_norm"))
            k, v = np.repeat(k, q_heads // kv_heads, 0), np.repeat(v, q_heads // kv_heads, 0)
            s = q @ k.swapaxes(1, 2) / np.sqrt(d) + future
            s = np.exp(s - s.max(-1, keepdims=True))
            a = (s / s.sum(-1, keepdims=True)) @ v
            x = x + a.swapaxes(0, 1).reshape(n, -1) @ w[p + "attn.out_proj.weight"].T
            gate, up = np.split(self.norm(x, p + "ffn_norm") @ w[p + "ffn.proj_1.weight"].T, 2, -1)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[p + "ffn.proj_2.weight"].T
        logits = self.norm(x, "norm") @ w["token_embeddings.weight"].T
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


class Reference(TemplateLM):
    def __init__(self, folder, bos):
        super().__init__()
        self.model = Model(folder)
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.bos = [1] if bos else []

    eot_token_id = 2
    prefix_token_id = 1

    def tok_encode(self, string, **_):
        return self.bos + self.tokenizer.encode(string, add_special_tokens=False).ids

    def score(self, context, continuation):
        tokens = context + continuation
        p = self.model.logprobs(tokens[:-1])[len(context) - 1 :]
        best = p.argmax(-1).tolist() == continuation
        return float(p[np.arange(len(continuation)), continuation].sum()), best

    def _loglikelihood_tokens(self, requests, **_):
        return [self.score(context, continuation) for _, context, continuation in requests]

    def loglikelihood_rolling(self, requests, **_):
        # The harness leaves room for two tokens in a server's context.
        longest = self.model.config["max_context_length"] - 2
        sums = []
        for r in requests:
            windows = utils.get_rolling_token_windows(self.tok_encode(r.args[0]), self.prefix_token_id, longest, 1)
            sums.append(sum(self.score(*utils.make_disjoint_window(x))[0] for x in windows))
        return sums

    def generate_until(self, requests, **_):
        return [self.generate(*r.args) for r in requests]

    def generate(self, text, options):
        start = self.tok_encode(text)
        tokens, before = list(start), len(self.tokenizer.decode(start))
        answer = ""
        while len(tokens) < len(start) + options["max_gen_toks"]:
            tokens.append(int(self.model.logprobs(tokens)[-1].argmax()))
            if tokens[-1] == self.eot_token_id:
                break
            answer = self.tokenizer.decode(tokens)[before:]
            if (ends := [answer.find(s) for s in options["until"] if s in answer]):
                return answer[: min(ends)]
        return answer
