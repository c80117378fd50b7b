#!/usr/bin/env bash
# install-tools.sh coverage|advisories: what a runner lacks to run check.sh or check-advisories.sh. Versions are pinned here
# alone.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_llvm_cov=0.9.1
cargo_deny=0.20.2

# rustup reads rust-toolchain.toml and fetches what it names.
rustup toolchain install
case ${1:-} in
  coverage)
    rustup component add clippy rustfmt llvm-tools
    # From a cache it can be another version than the one pinned here; cargo refuses to replace it without --force.
    if [[ "$(cargo llvm-cov --version 2>&1)" != "cargo-llvm-cov $cargo_llvm_cov" ]]; then
      cargo install cargo-llvm-cov --force --locked --version "$cargo_llvm_cov"
    fi
    ;;
  advisories)
    cargo install cargo-deny --locked --version "$cargo_deny"
    ;;
  *)
    echo "usage: install-tools.sh coverage | advisories" >&2
    exit 2
    ;;
esac
