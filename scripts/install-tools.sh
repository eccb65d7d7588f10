#!/bin/sh
# Installs the Debian packages that the tests need and that are not there yet:
# clang for Metal on Linux, GNUstep for Foundation and AppKit, qemu and arm64 libraries to run
# arm64 tests, Python for the comparisons with huggingface_hub and other clients,
# HAProxy in front of two servers, Chromium for the page of openelm serve, Ruby for
# the Homebrew formula, a desktop for the menubar example, and what building the
# emulator of AMX takes.
set -eu
cd "$(dirname "$0")/.."

[ "$(uname -s)" = Linux ] || exit 0

packages="qemu-user-static haproxy chromium ruby desktop-file-utils libglib2.0-bin dbus"
lists=internal/metalsim/packages.txt
if [ "$(uname -m)" = x86_64 ]; then
	packages="$packages g++ make zstd xz-utils binutils-aarch64-linux-gnu libstdc++-12-dev-arm64-cross"
	lists="$lists internal/testing/gnustep/packages.txt examples/menubar/internal/appkit/testdata/packages.txt"
fi
python3 -c "import venv, ensurepip" 2>/dev/null || packages="$packages python3 python3-venv"
for list in $lists; do
	[ ! -f "$list" ] || packages="$packages $(sed 's/#.*//' "$list" | tr '\n' ' ')"
done
missing=
for p in $packages; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
