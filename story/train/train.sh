#!/bin/sh
# Makes the training text, trains the tokenizer and the model, and puts the
# result into story/model. MINUTES (default 28) is how long it trains.
set -eu
cd "$(dirname "$0")"
work=${WORK:-../../.train}
mkdir -p "$work"
[ -d "$work/venv" ] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q -r requirements.txt
python="$work/venv/bin/python"
"$python" make_corpus.py 240000 1 "$work/train.jsonl"
"$python" make_corpus.py 2000 999 "$work/valid.jsonl"
"$python" make_tokenizer.py "$work/train.jsonl" "$work/tok" 2048
"$python" train.py --train "$work/train.jsonl" --valid "$work/valid.jsonl" --tok "$work/tok" --out "$work/out" --minutes "${MINUTES:-28}" --compile
"$python" check.py "$work/out"
cp "$work/out/config.json" "$work/out/model.safetensors" "$work/out"/tokenizer* ../model/
