#!/usr/bin/env bash
# Fail unless the package was built by this repository's deploy workflow, from main: GitHub signed that when it was built.
# Attestations of private repositories need GitHub Enterprise; without it, the variable ATTESTATIONS is `off`, and the digest
# recorded in the account is all that binds a package to its build.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${GITHUB_REPOSITORY:?}"

if [[ ${ATTESTATIONS:-on} == off ]]; then
  echo "::warning::Attestations are off: the package's provenance isn't verified."
  exit
fi
gh attestation verify "$PACKAGE" --repo "$GITHUB_REPOSITORY" --source-ref refs/heads/main \
  --signer-workflow "$GITHUB_REPOSITORY/.github/workflows/deploy.yml"
