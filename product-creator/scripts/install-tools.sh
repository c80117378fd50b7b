#!/usr/bin/env bash
# install-tools.sh coverage|package: what a runner lacks to run check.sh or package.sh. Versions are pinned here alone.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_llvm_cov=0.9.1
cargo_lambda=1.9.2

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
    # With it comes zig, which links for arm64 on any machine.
    pipx install "cargo-lambda==$cargo_lambda"
    ;;
  *)
    echo "coverage or package?" >&2
    exit 2
    ;;
esac
