#!/usr/bin/env bash
# Fail unless the tag that started the workflow is `catalogctl-v` and the workspace's version.
#     GITHUB_REF_NAME=catalogctl-v0.1.0 scripts/check-release-tag.sh
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(cargo metadata --no-deps --locked --format-version 1 | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
print(next(package["version"] for package in packages if package["name"] == "catalogctl"))')
if [[ ${GITHUB_REF_NAME:-} != "catalogctl-v$version" ]]; then
  echo "check-release-tag.sh: the tag ${GITHUB_REF_NAME:-(none)} isn't catalogctl-v$version" >&2
  exit 1
fi
