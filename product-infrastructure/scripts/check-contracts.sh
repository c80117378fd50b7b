#!/usr/bin/env bash
# Validate every golden example against its schema, recompute every digest, and run the queries of the audit log on the examples,
# with the tools in requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=target/contracts-tools
if ! cmp --silent scripts/requirements.txt "$environment/requirements.txt"; then
  python3 -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement scripts/requirements.txt
  cp scripts/requirements.txt "$environment/requirements.txt"
fi
"$environment/bin/python" scripts/check_contracts.py
"$environment/bin/python" scripts/check_queries.py
