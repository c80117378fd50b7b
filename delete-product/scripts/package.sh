#!/usr/bin/env bash
# Build the package for arm64 and say its SHA-256, which is its name from here to production.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh

PATH="$PWD/target/tools/bin:$PATH" cargo lambda build --release --locked --arm64 --output-format zip --lambda-dir target/lambda
mkdir -p "$(dirname "$PACKAGE")"
cp "target/lambda/$REPOSITORY/bootstrap.zip" "$PACKAGE"
printf 'digest=%s\n' "$(package_digest)" >> "${GITHUB_OUTPUT:-/dev/stdout}"
