#!/usr/bin/env bash
# What each format costs: converts MODEL into all of them and holds each to MODEL
# itself on TEXT. Prints the rows of docs/formats.md; CALIBRATE names a text for
# the K formats, WORK the folder for the files, FORMATS some of the formats.
#
#   scripts/formats.sh MODEL TEXT      (MODEL "story": the embedded one)
set -euo pipefail
model=$1 text=$2
dir=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${WORK:-/tmp}/formats.XXXX")
trap 'rm -rf "$work"' EXIT
(cd "$dir" && CGO_ENABLED=0 go build -o "$work/openelm" ./cmd/openelm)
source=(--model "$model")
[ "$model" != story ] || source=()

row() { # name, file, flags of convert
	local name=$1 out=$2
	shift 2
	"$work/openelm" convert -q "${source[@]}" --out "$out" "$@" >/dev/null
	local weights=$out
	[ ! -d "$out" ] || weights=$out/model.safetensors
	"$work/openelm" perplexity -q --json --model "$out" --against "$model" "$text" |
		python3 -c '
import json, sys
r = json.load(sys.stdin)
print("| {} | {:,.1f} | {:.4f} ± {:.4f} | {:+.5f} ± {:.5f} | {:.6f} | {:.4f} | {:.2f}% |".format(
    sys.argv[1], int(sys.argv[2]) / 1e6, r["perplexity"], r["perplexity_stderr"], r["nll_difference"], r["nll_difference_stderr"],
    r["kl"], r["kl_max"], 100 * r["same_top"]))' "$name" "$(stat -c %s "$weights")"
	rm -rf "$out"
}

for format in ${FORMATS:-safetensors-f32 safetensors-f16 safetensors-bf16 gguf-f16 gguf-q8_0 mlx-8 gguf-q6_k gguf-q5_k_m gguf-q4_k_m mlx-4-g32 mlx-4 gguf-q4_0}; do
	row "$format" "$work/model" --to "$format"
done
[ -z "${CALIBRATE:-}" ] || for format in gguf-q6_k gguf-q5_k_m gguf-q4_k_m; do
	row "$format, calibrated" "$work/model" --to "$format" --calibrate "$CALIBRATE"
done
