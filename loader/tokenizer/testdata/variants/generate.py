#!/usr/bin/env python3
"""Writes the variants of the mini vocabulary and what the original libraries make of them.

    pip install sentencepiece==0.2.3 tokenizers==0.23.3 protobuf
    python3 generate.py ../../../../testdata/tokenizer/mini

Every variant is a folder with tokenizer.model or tokenizer.json and vectors.jsonl.
A vector has a text with "ids" (control tokens are plain text) and, for
tokenizer.json, "special" (control tokens are parsed); or "ids" with "decoded".
"""
import copy, json, os, random, sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import Tokenizer

mini = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
rng = random.Random(1)

WORDS = ["the", " ", "  ", "▁", "e", "t", "er", "in", "a", "hey", " hey", "foo bar", "foo", "\n", "é", "中文", "😀", "1",
         "<s>", "</s>", "<unk>", "<ud>", "<x>", "hex", "x<", ">", "\ufffd", "the and ", "Once upon a time", "<0x41>"]
TEXTS = ["", " ", "  ", "▁", " a", "a ", "  a  b  ", " the", "the", "<ud>", " <ud> ", "<s> a", "a<s>", "<s><s>", "▁<s>", "é中", "中中a中"]
TEXTS += ["".join(rng.choice(WORDS) for _ in range(rng.choice([2, 3, 5, 9]))) for _ in range(60)]


def ids(size):
    def one():
        return rng.choice([rng.randrange(size), rng.randrange(3, 259), rng.randrange(3), rng.choice([259, 386, 263, 35])])
    return [[259, 259, 263], [386, 386], [0, 263], [35, 263]] + [[one() for _ in range(rng.choice([1, 2, 4, 8]))] for _ in range(30)]


def write(name, file, content, vectors):
    folder = os.path.join(here, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, file), "wb") as f:
        f.write(content)
    with open(os.path.join(folder, "vectors.jsonl"), "w") as f:
        for v in vectors:
            f.write(json.dumps(v, ensure_ascii=False) + "\n")


def model(name, change):
    m = pb.ModelProto()
    with open(os.path.join(mini, "tokenizer.model"), "rb") as f:
        m.ParseFromString(f.read())
    change(m)
    data = m.SerializeToString()
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    vectors = [{"text": t, "ids": sp.encode(t)} for t in TEXTS]
    vectors += [{"ids": i, "decoded": sp.decode(i)} for i in ids(sp.get_piece_size())]
    write(name, "tokenizer.model", data, vectors)


def extra_spaces(m):
    m.normalizer_spec.remove_extra_whitespaces = True


def no_prefix(m):
    m.normalizer_spec.add_dummy_prefix = False


def user_defined(m):
    user = pb.ModelProto.SentencePiece.USER_DEFINED
    for text in ["<ud>", "▁hey", "foo▁bar", "中中"]:
        p = m.pieces.add()
        p.piece, p.score, p.type = text, 0, user
    for p in m.pieces:
        if p.piece in ["<", "er"]:
            p.type = user


def no_bytes(m):
    m.trainer_spec.byte_fallback = False
    for p in m.pieces:
        if p.type == pb.ModelProto.SentencePiece.BYTE:
            p.type = pb.ModelProto.SentencePiece.UNUSED


def missing_characters(m):
    for p in m.pieces:
        if p.piece in "ehi":
            p.piece += "\u0378"  # an unassigned character: as good as gone


model("model-extra-spaces", extra_spaces)
model("model-no-prefix", no_prefix)
model("model-user-defined", user_defined)
model("model-no-bytes", no_bytes)
model("model-missing-characters", missing_characters)


def from_json(name, change, texts=TEXTS):
    with open(os.path.join(mini, "tokenizer.json")) as f:
        j = json.load(f)
    change(j)
    data = json.dumps(j, ensure_ascii=False, indent=1)
    hf = Tokenizer.from_str(data)
    vectors = []
    for t in texts:
        hf.encode_special_tokens = True
        plain = hf.encode(t, add_special_tokens=False).ids
        hf.encode_special_tokens = False
        vectors.append({"text": t, "ids": plain, "special": hf.encode(t, add_special_tokens=False).ids})
    # A special token that is "normalized" as well is not skipped by tokenizers 0.23; it is control all the same.
    visible = {a["id"] for a in j["added_tokens"] if a["special"] and a["normalized"]}
    vectors += [{"ids": i, "decoded": hf.decode(i, skip_special_tokens=True)}
                for i in ids(hf.get_vocab_size()) if not visible & set(i)]
    write(name, "tokenizer.json", data.encode(), vectors)


def added(j, content, special, normalized, single_word=False, lstrip=False, rstrip=False):
    size = max(max(j["model"]["vocab"].values()), max(a["id"] for a in j["added_tokens"])) + 1
    j["added_tokens"].append({"id": j["model"]["vocab"].get(content, size), "content": content, "single_word": single_word,
                              "lstrip": lstrip, "rstrip": rstrip, "normalized": normalized, "special": special})


def metaspace(scheme):
    def change(j):
        j["normalizer"] = None
        j["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}
        if scheme == "never":
            j["decoder"]["decoders"].pop()
        j["model"]["merges"] = [m.split(" ") for m in j["model"]["merges"]]
        added(j, "<ud>", True, False)
        added(j, "hey", False, True)
        added(j, "foo bar", False, True)
        added(j, "x<", False, True)
        added(j, "<x>", True, False)
    return change


def normalized(j):
    added(j, "<ud>", False, True)
    added(j, "foo bar", False, True)
    added(j, "er", False, False)
    for a in j["added_tokens"][1:3]:
        a["normalized"] = True


def replace_only(j):
    j["normalizer"] = j["normalizer"]["normalizers"][1]
    j["decoder"]["decoders"].pop()
    added(j, "foo bar", False, True)
    added(j, "<x>", True, False)


def unknown(fuse):
    def change(j):
        j["model"]["byte_fallback"] = False
        j["model"]["fuse_unk"] = fuse
        j["decoder"]["decoders"].pop(1)
    return change


# White space around tokens that take it, and words beside tokens that must be words.
PARTS = ["<l>", "<r>", "<b>", "<w>", "<lw>", "<n>", "<s>", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u200d", "▁", "the", "é", "1", "_", "-", ".", "中", "😀"]


def white(change):
    def both(j):
        change(j)
        added(j, "<l>", True, False, lstrip=True)
        added(j, "<r>", True, False, rstrip=True)
        added(j, "<b>", False, False, lstrip=True, rstrip=True)
        added(j, "<w>", False, False, single_word=True)
        added(j, "<lw>", True, False, single_word=True, lstrip=True)
        added(j, "<n>", False, True, single_word=True, lstrip=True, rstrip=True)
        added(j, "  ", False, False)
    return both


for s in ["first", "always", "never"]:
    from_json("json-metaspace-" + s, metaspace(s))
from_json("json-normalized", normalized)
from_json("json-replace-only", replace_only)
from_json("json-fused-unknown", unknown(True))
from_json("json-single-unknown", unknown(False))

rng = random.Random(2)
around = ["".join(rng.choice(PARTS) for _ in range(rng.choice([2, 3, 4, 7]))) for _ in range(150)]
from_json("json-strip", white(lambda j: None), around)
from_json("json-strip-metaspace", white(metaspace("first")), around)
