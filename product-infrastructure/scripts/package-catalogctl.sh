#!/usr/bin/env bash
# Build catalogctl as static binaries for Linux (musl), with checksums, into target/catalogctl/:
#     scripts/package-catalogctl.sh [x86_64 | aarch64 …]     default: both
# A static binary runs on any distribution, in a container without a shell, and in AWS CloudShell.
# Needs Rust (rustup) and Python 3; zig, which links for both architectures, is installed into target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_zigbuild=0.24.1
ziglang=0.15.2

if [[ $# -eq 0 ]]; then set -- x86_64 aarch64; fi
for architecture in "$@"; do
  case $architecture in
    x86_64 | aarch64) ;;
    *)
      echo "package-catalogctl.sh: unknown architecture $architecture (known: x86_64, aarch64)" >&2
      exit 2
      ;;
  esac
done

rustup target add "${@/%/-unknown-linux-musl}"
python3 -m venv target/tools
target/tools/bin/pip install --quiet --disable-pip-version-check "cargo-zigbuild==$cargo_zigbuild" "ziglang==$ziglang"

# Panics name the source file; without the remap they would name the builder's home folder.
export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
export CARGO_TARGET_DIR="$PWD/target"
folder=target/catalogctl
mkdir -p "$folder"
rm -f "$folder"/*
for architecture in "$@"; do
  target=$architecture-unknown-linux-musl
  PATH="$PWD/target/tools/bin:$PATH" cargo zigbuild --release --locked --package catalogctl --target "$target"
  cp "target/$target/release/catalogctl" "$folder/catalogctl-linux-$architecture"
done
(cd "$folder" && sha256sum catalogctl-linux-* > SHA256SUMS && cat SHA256SUMS)
