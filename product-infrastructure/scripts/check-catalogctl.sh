#!/usr/bin/env bash
# Format, lint and test the developer tool.
set -euo pipefail
cd "$(dirname "$0")/../catalogctl"

cargo fmt --check
cargo clippy --locked --all-targets -- --deny warnings
cargo test --locked
