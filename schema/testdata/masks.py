"""Says which tokens llguidance allows at each step of texts that are held to schemas."""

import base64
import json
import sys

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper


class Tokenizer:
    bos_token_id = None

    def __init__(self, tokens, eos):
        self.eos_token_id = eos
        self.special_token_ids = [i for i, t in enumerate(tokens) if not t]
        self.tokens = [t or b"<%d>" % i for i, t in enumerate(tokens)]
        self.ids = {t: i for i, t in enumerate(self.tokens)}

    def __call__(self, text):
        return [self.ids[bytes([b])] for b in (text.encode() if isinstance(text, str) else text)]


request = json.load(sys.stdin)
tokens = [base64.b64decode(t or "") for t in request["tokens"]]
tokenizer = LLTokenizer(TokenizerWrapper(Tokenizer(tokens, request["eos"])), n_vocab=len(tokens))
# The white space that package schema allows.
style = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
answer = []
for case in request["cases"]:
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(json.dumps(case["schema"]), overrides=style))
    masks = []
    for token in [None, *case["text"]]:
        if token is not None and not matcher.consume_token(token):
            break
        masks.append(base64.b64encode(bytes(matcher.compute_bitmask())).decode())
    answer.append({"masks": masks, "error": matcher.get_error()})
json.dump(answer, sys.stdout)
