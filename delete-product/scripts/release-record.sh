#!/usr/bin/env bash
# release-record.sh read           Print commit, digest and version of the last proven release as `name=value` lines, and put
#                                  its package in its place. Ends with 3 when nothing has been released, with 1 when the
#                                  record can't be read.
# release-record.sh write VERSION  Keep the package, and record commit, digest and version of a release whose smoke test passed.
#
# In the account that runs the release, not at GitHub: artifacts expire after 90 days, and a promotion needs the commit together
# with the digest. A commit that changes Terraform alone has the same package as the one before.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

bucket=$(state_bucket)
record=$REPOSITORY/releases/released.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $1 in
  read)
    if ! aws s3api get-object --bucket "$bucket" --key "$record" "$work/released.json" > "$work/answer" 2>&1; then
      if grep -qE 'NoSuch(Key|Bucket)' "$work/answer"; then
        echo "No release of $REPOSITORY found in $ENVIRONMENT. Release to $ENVIRONMENT first." >&2
        exit 3
      fi
      echo "failed to read s3://$bucket/$record: $(tail -n 1 "$work/answer")" >&2
      exit 1
    fi
    digest=$(jq --raw-output .digest "$work/released.json")
    mkdir -p "$(dirname "$PACKAGE")"
    if ! aws s3api get-object --bucket "$bucket" --key "$REPOSITORY/releases/$digest.zip" "$PACKAGE" > "$work/answer" 2>&1; then
      echo "The package $digest, released last to $ENVIRONMENT, is no longer in the bucket $bucket: release main to dev again." \
        "($(tail -n 1 "$work/answer"))" >&2
      exit 1
    fi
    if [[ $(package_digest) != "$digest" ]]; then
      echo "The package in $bucket is $(package_digest), expected $digest." >&2
      exit 1
    fi
    jq --raw-output '"commit=\(.commit)", "digest=\(.digest)", "version=\(.version)"' "$work/released.json"
    ;;
  write)
    digest=$(package_digest)
    aws s3api put-object --bucket "$bucket" --key "$REPOSITORY/releases/$digest.zip" --body "$PACKAGE" > /dev/null
    jq --null-input --arg commit "$(commit)" --arg digest "$digest" --arg version "$2" --arg run "${GITHUB_RUN_ID:-}" \
      '{$commit, $digest, $version, $run, provenAt: (now | todateiso8601)}' > "$work/released.json"
    aws s3api put-object --bucket "$bucket" --key "$record" --body "$work/released.json" \
      --content-type application/json > /dev/null
    ;;
  *)
    echo "usage: release-record.sh read | write VERSION" >&2
    exit 2
    ;;
esac
