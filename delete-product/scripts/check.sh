#!/usr/bin/env bash
# Format, lint, and test with coverage: what must hold before anything is built or merged.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
cargo clippy --locked --all-targets -- --deny warnings
# main.rs only wires the real clients together; it runs for the first time in the smoke test.
cargo llvm-cov --locked --ignore-filename-regex 'src/main\.rs$' --fail-under-lines 80
