#!/usr/bin/env bash
# install-tools.sh advisories: what a runner lacks to run check-advisories.sh. The version is pinned here alone.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo_deny=0.20.2

[[ ${1:-} == advisories ]] || { echo "usage: install-tools.sh advisories" >&2; exit 2; }
# rustup reads rust-toolchain.toml and fetches what it names.
rustup toolchain install
cargo install cargo-deny --locked --version "$cargo_deny"
