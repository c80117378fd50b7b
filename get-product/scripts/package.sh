#!/usr/bin/env bash
# Build the package for arm64 and say its SHA-256, which is its name from here to production. The same sources make the
# same bytes, in whatever folder: who doubts a package builds it again and compares.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh

# Panics say in which file; the folder of the crates is the builder's own business, and would be another on each machine.
export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
PATH="$PWD/target/tools/bin:$PATH" cargo lambda build --release --locked --arm64 --output-format binary --lambda-dir target/lambda
mkdir -p "$(dirname "$PACKAGE")"
# Not cargo-lambda's own zip: it holds the time of the build, and so another digest every time.
target/tools/bin/python - "target/lambda/$REPOSITORY/bootstrap" "$PACKAGE" <<'PYTHON'
import sys
import zipfile

binary, package = sys.argv[1:]
with zipfile.ZipFile(package, "w") as archive, open(binary, "rb") as file:
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix: the mode below counts.
    entry.external_attr = 0o100755 << 16
    archive.writestr(entry, file.read(), zipfile.ZIP_DEFLATED, 9)
PYTHON
printf 'digest=%s\n' "$(package_digest)" >> "${GITHUB_OUTPUT:-/dev/stdout}"
