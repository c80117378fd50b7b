#!/usr/bin/env bash
# Check dependencies against the RustSec advisory database, and licences, sources and duplicates by deny.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo deny --locked check advisories bans licenses sources
