#!/usr/bin/env bash
# Fail unless the recorded test runs executed at least 80 % of the workspace's lines. Counted as in the functions' check.sh:
# without the main.rs files, which only wire things together.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo llvm-cov report --fail-under-lines 80 --ignore-filename-regex 'src/main\.rs$'
