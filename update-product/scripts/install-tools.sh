#!/usr/bin/env bash
# install-tools.sh coverage|package: what a runner lacks to run check.sh or package.sh. Versions are pinned here alone.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_llvm_cov=0.9.1
cargo_lambda=1.9.2
ziglang=0.15.2

# rustup reads rust-toolchain.toml and fetches what it names.
rustup toolchain install
case $1 in
  coverage)
    rustup component add clippy rustfmt llvm-tools
    if [[ "$(cargo llvm-cov --version 2>&1)" != "cargo-llvm-cov $cargo_llvm_cov" ]]; then
      cargo install cargo-llvm-cov --locked --version "$cargo_llvm_cov"
    fi
    ;;
  package)
    rustup target add aarch64-unknown-linux-gnu
    # zig links for arm64 on any machine; cargo-lambda finds it through the Python that comes first in PATH.
    python3 -m venv target/tools
    target/tools/bin/pip install --quiet --disable-pip-version-check "cargo-lambda==$cargo_lambda" "ziglang==$ziglang"
    ;;
  *)
    echo "coverage or package?" >&2
    exit 2
    ;;
esac
