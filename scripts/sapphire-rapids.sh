#!/bin/sh
# Runs a static Linux program on an emulated Intel Sapphire Rapids: AMX, VNNI,
# AVX512-BF16 and AVX512-FP16, on any x86-64 machine with Debian.
#
#	CGO_ENABLED=0 go test -exec "$PWD/scripts/sapphire-rapids.sh" -timeout 1h ./kernels/cpu
#
# Inside are the program, its arguments, the environment variables that begin
# with GO or RAPID, and the testdata of the current folder; there is one
# processor, and no network. A program starts after 3 seconds and runs some 200
# million instructions a second, which the clock inside takes for a tenth of a
# second. EMULATE_MB sets the memory (1024), EMULATE_MINUTES the time limit (60).
# It exits as the program does, or with 125 where the emulator is at fault.
#
# The emulator is Bochs. The first use builds it (2 minutes on 2 cores) from
# Debian's source package, and takes a kernel from Debian's package of it; both
# go to a cache outside the repository, nothing is installed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# What is made in another way has a place of its own in the cache.
version=$(cat "$root/scripts/sapphire-rapids.sh" "$root/internal/testing/emulate/boot.go" | cksum | cut -d' ' -f1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/openelm-emulator/$version
suite=trixie

say() { echo "sapphire-rapids.sh: $*" >&2; }

# apt with package lists of its own, of another suite than the machine's; from
# where the machine has its packages, and signed by the same keys.
own_apt() {
	tool=$1
	shift
	"$tool" -qq -o Dir::State="$work/apt" -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt" \
		-o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User="$(id -un)" "$@"
}

download() {
	mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 !~ /-/ && $2 ~ /\/debian\/?$/ { print $2; exit }')
	[ -n "$mirror" ] || { say "apt knows no mirror of Debian"; return 1; }
	mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
	: >"$work/apt/status"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	cat >"$work/apt/sources.list" <<-END
		deb [signed-by=$keys target=Packages lang=none] $mirror $suite main
		deb-src [signed-by=$keys target=Sources lang=none] $mirror $suite main
	END
	own_apt apt-get update
	# The package that depends on the newest kernel; the one for virtual machines
	# is small and has all that is needed built in.
	kernel=$(own_apt apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
	(cd "$work" && own_apt apt-get download "$kernel" && own_apt apt-get source --download-only --tar-only bochs)
}

# fix FILE EXPRESSION: edits a source file of Bochs; that must change something.
fix() {
	sed -E "$2" "$work/bochs/$1" >"$work/fixed"
	if cmp -s "$work/fixed" "$work/bochs/$1"; then say "Bochs' $1 is not what it was"; return 1; fi
	cp "$work/fixed" "$work/bochs/$1"
}

build_bochs() {
	mkdir "$work/bochs"
	tar -xJf "$work"/bochs_*.orig.tar.xz -C "$work/bochs" --strip-components=1
	# A product of signed bytes is one of unsigned bytes.
	fix cpu/avx/amx.cc 's/Bit32s\(([xy]byte\[[0-3]\])\)/Bit32s(Bit8s(\1))/g'
	# Saving tiles: rows and columns are swapped, half of the rows is left out,
	# and it is left out altogether if there are any.
	fix cpu/xsave.cc 's/row < BX_TILE_REGISTERS/row < BX_TILE_MAX_ROWS/
		s/tile_use_tracker == 0/tile_use_tracker != 0/
		/tilecfg\.vmm16u\(8\+n\)/s/rows/bytes_per_row/
		/tilecfg\.vmmubyte\(48\+n\)/s/bytes_per_row/rows/'
	# The kernel wants to learn by a fault (XFD) who uses tiles, else nobody may.
	fix cpu/cpuid.cc '/EAX\[4\] - support for XFD/{n;s/= 0;/= 0x10;/}'
	fault='if (BX_CPU_THIS_PTR msrs[0x1c4]->get64() >> 18 \& 1) { BX_CPU_THIS_PTR msrs[0x1c5]->set64(1 << 18); exception(BX_NM_EXCEPTION, 0); }'
	fix cpu/avx/amx.cc "/^void .*BX_CPU_C::(check_tile|TILEZERO_Tnnn)\(/{n;s/\$/ $fault/}"
	# The encoding of STTILECFG.
	fix cpu/decoder/fetchdecode_opmap_avx.cc '/BX_IA_STTILECFG/s/VEX_W1/VEX_W0/'
	# Code that changes itself, as the kernel's does, is decoded again only in
	# part where tiles are on.
	fix cpu/icache.h '/line_mask > mask/d'
	# A file that is put into memory must lie there in one piece.
	fix memory/memory_stub.cc 's/^  if \(0\) \{/  if (host == guest) {/'

	# Bochs reads one structure as another one; without -fno-strict-aliasing
	# gcc 16 leaves out half of a division.
	flags="-O2 -w -fno-strict-aliasing"
	(cd "$work/bochs" && CFLAGS=$flags CXXFLAGS=$flags nice ./configure --with-nogui --disable-docbook \
		--enable-cpu-level=6 --enable-x86-64 --enable-avx --enable-evex --enable-amx \
		--enable-all-optimizations && nice make -j"$(nproc)" bochs) >"$work/log" 2>&1 ||
		{ tail -n 20 "$work/log" >&2; return 1; }
}

prepare() {
	missing=
	for tool in g++ make zstd xz; do command -v "$tool" >/dev/null || missing="$missing $tool"; done
	[ -z "$missing" ] || { say "needs$missing (Debian's packages g++, make, zstd and xz-utils)"; return 1; }
	say "building the emulator in $cache"
	work=$cache/work
	rm -rf "$work"
	mkdir -p "$work"
	download
	build_bochs
	dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*'
	"$cache/emulate" kernel "$work"/boot/vmlinuz-* "$cache/kernel.ram"
	mv "$work/bochs/bochs" "$cache/bochs"
	rm -rf "$work"
}

[ $# -gt 0 ] || { say "usage: sapphire-rapids.sh PROGRAM [ARGUMENT ...]"; exit 2; }
mkdir -p "$cache"
(
	flock 9 # go test starts several of these at once
	cd "$root"
	# The variables are those of the program to run.
	env -u GOFLAGS -u GOOS -u GOARCH -u GOEXPERIMENT CGO_ENABLED=0 "${GO:-go}" build -trimpath -o "$cache/emulate" ./internal/testing/emulate
	[ -x "$cache/bochs" ] || prepare
) 9>"$cache/lock" >&2
exec "$cache/emulate" run "$cache" "$@"
