#!/usr/bin/env bash
# Plan the commit and the package that were released last to ENVIRONMENT. Fails when the environment differs from them: someone
# changed it by hand, or an apply was cut off.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

released=$(scripts/release-record.sh read) || {
  echo "Nothing to compare in $ENVIRONMENT."
  exit
}
git checkout --quiet "$(sed -n 's/^commit=//p' <<< "$released")"
terraform_init
status=0
terraform -chdir=terraform plan -input=false -lock=false -detailed-exitcode -no-color \
  -var-file="environments/$ENVIRONMENT.tfvars" -var "package_path=../$PACKAGE" -var "live_version=$(live_version)" \
  > "$WORK/drift.txt" || status=$?
case $status in
  0) echo "No drift in $ENVIRONMENT." ;;
  2)
    cat "$WORK/drift.txt"
    echo "::error::$ENVIRONMENT differs from what was released: $(grep '^Plan:' "$WORK/drift.txt")"
    exit 1
    ;;
  *)
    cat "$WORK/drift.txt"
    exit "$status"
    ;;
esac
