#!/bin/sh
# Builds the engines that "openelm bench --peers" compares with, into a cache
# outside the repository: llama.cpp's llama-bench, from the source package of
# llama-cpp-python, which carries llama.cpp; and PyTorch, in a Python
# environment. Both come from PyPI.
#
#	scripts/peers.sh            both
#	scripts/peers.sh llama      llama-bench only (10 to 20 minutes on 2 cores)
#	scripts/peers.sh torch      PyTorch only (the Linux wheel for x86 brings CUDA: 3 GB)
#
# openelm bench finds them there by itself. PEERS names another place; the last
# lines say which flags the bench needs then.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}
[ "$(uname -s)" != Darwin ] || cache=$HOME/Library/Caches
peers=${PEERS:-$cache/openelm-bench/peers}
python=${PYTHON:-python3}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
version=0.3.36 # of llama-cpp-python
torch=2.15.0
what=${1:-llama torch}
mkdir -p "$peers"

# gcc before 13 miscompiles ggml's AMX code: every quantised model then crashes
# at ldtilecfg. Without AMX tiles it is sound.
amx_flags() {
	grep -qw amx_tile /proc/cpuinfo 2>/dev/null || return 0
	major=$(${CC:-cc} -dumpversion | cut -d. -f1)
	if ${CC:-cc} --version | grep -qi clang || [ "$major" -ge 13 ]; then return 0; fi
	echo "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
}

build_llama() {
	source=$peers/llama_cpp_python-$version
	if [ ! -d "$source" ]; then
		"$python" -m pip download -q --no-deps --no-binary llama-cpp-python -d "$peers" "llama-cpp-python==$version"
		tar -xzf "$source.tar.gz" -C "$peers"
	fi
	flags=$(amx_flags)
	[ -z "$flags" ] || echo "llama.cpp without AMX tiles: $(${CC:-cc} --version | head -1) miscompiles them"
	nice -n 19 cmake -S "$source/vendor/llama.cpp" -B "$peers/llama-build" \
		-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DLLAMA_CURL=OFF \
		-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
		-DLLAMA_BUILD_TOOLS=ON -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags"
	nice -n 19 cmake --build "$peers/llama-build" --target llama-bench -j "$jobs"
	cp "$peers/llama-build/bin/llama-bench" "$peers/llama-bench"
}

install_torch() {
	[ -x "$peers/torch/bin/python" ] || "$python" -m venv "$peers/torch"
	nice -n 19 "$peers/torch/bin/python" -m pip install -q "torch==$torch" numpy
}

for w in $what; do
	case $w in
	llama) build_llama ;;
	torch) install_torch ;;
	*) echo "peers.sh: no peer called $w; there are llama and torch" >&2; exit 2 ;;
	esac
done
[ ! -x "$peers/llama-bench" ] || echo "--llama-bench $peers/llama-bench"
[ ! -x "$peers/torch/bin/python" ] || echo "--python $peers/torch/bin/python"
