#!/usr/bin/env bash
# Write the package's software bill of materials (CycloneDX) to target/package/sbom.cdx.json: each crate that is linked into it,
# and none that only builds or tests it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh

mkdir -p "$WORK"
cargo tree --locked --edges normal --prefix none --no-dedupe --target aarch64-unknown-linux-gnu --format '{p}' \
  | sed 's/ (.*//' | sort --unique \
  | jq --raw-input --null-input --arg name "$REPOSITORY" --arg digest "$(package_digest)" '
      [inputs | capture("^(?<name>\\S+) v(?<version>\\S+)$") | select(.name != $name)] as $crates
      | { bomFormat: "CycloneDX", specVersion: "1.6", version: 1,
          metadata: { component: { type: "application", name: $name, hashes: [{ alg: "SHA-256", content: $digest }] } },
          components: [$crates[] | { type: "library", name, version, purl: "pkg:cargo/\(.name)@\(.version)" }] }' \
  > "$WORK/sbom.cdx.json"
echo "$(jq '.components | length' "$WORK/sbom.cdx.json") crates in $WORK/sbom.cdx.json"
