#!/usr/bin/env bash
# Runs all tests of the module in the current folder, and prints a line a
# package, the coverage of the Metal kernels, and everything where a test fails.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# One core compiles kernels for kernels/gpu from the first minute to the last: it
# begins first.
longest=
[ ! -d kernels/gpu ] || longest=./kernels/gpu
# shellcheck disable=SC2086 # nothing or one word
"${GO:-go}" test -v -timeout 50m $longest ./... 2>&1 | tee "$log" | grep --line-buffered -E '^(ok|FAIL|\?|no test files)|lines ran$|^not run:'
status=${PIPESTATUS[0]}
if [ "$status" != 0 ]; then
	echo "---- output of what failed"
	grep -vE '^(=== |--- PASS|--- SKIP|PASS|ok|\?| +--- PASS)' "$log"
fi
exit "$status"
