#!/usr/bin/env bash
# verify-audit.sh: verify the last 7 days of ENVIRONMENT's audit log with `catalogctl`, and publish the result as metrics, which the
# alarms audit-broken and audit-unverified watch. A verification that fails publishes nothing: audit-unverified reports that.
# Does nothing in an environment that isn't set up yet (no AWS_ROLE).
#
# The report names records and products, and a run's log has more readers than the audit bucket: only counts and verdicts are
# printed. The digest lets anybody prove later what the bucket held on this day, from outside the account.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${ENVIRONMENT:?dev, sit or prod}"
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=10

if [[ -z ${AWS_ROLE-} ]]; then
  echo "::notice::The GitHub environment $ENVIRONMENT-audit has no AWS_ROLE_ARN: $ENVIRONMENT isn't set up."
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The bucket's name has the suffix of the environment's buckets, if there is one.
bucket=$(sed -n 's/^bucket *= *"bbws-terraform-state-\(.*\)"$/bbws-product-audit-logs-\1/p' \
  "terraform/environments/$ENVIRONMENT.s3.tfbackend")
status=0
catalogctl audit verify --env "$ENVIRONMENT" --bucket "$bucket" --from "$(date --utc --date '7 days ago' +%F)" --json \
  > "$work/report.json" || status=$?
if [[ $status != 0 && $status != 2 ]]; then
  echo "::error::The audit log of $ENVIRONMENT wasn't verified: catalogctl ended with $status."
  exit "$status"
fi

unread=$(jq '.archived + .locksUnknown + (if .defaultRetention == "UNKNOWN" then 1 else 0 end)' "$work/report.json")
if ((unread > 0)); then
  echo "::error::The audit log of $ENVIRONMENT wasn't verified completely: $unread records or locks couldn't be read."
  exit 1
fi
# Without any change in 7 days the integrity is INCOMPLETE, which isn't a finding.
read -r findings objects < <(jq --raw-output '"\(.findings | length) \(.objects)"' "$work/report.json")
aws cloudwatch put-metric-data --namespace ProductCatalogue/Audit --metric-data \
  "MetricName=Findings,Unit=Count,Value=$findings" "MetricName=VerifiedRecords,Unit=Count,Value=$objects"
summary=$(jq --raw-output '
  "integrity \(.integrity), form \(.form), \(.findings | length) findings, \(.objects) records from \(.from) to \(.verifiedAt), digest \(.digest)"
' "$work/report.json")
echo "$ENVIRONMENT: $summary"
if [[ -n ${GITHUB_STEP_SUMMARY-} ]]; then echo "**$ENVIRONMENT**: $summary" >> "$GITHUB_STEP_SUMMARY"; fi
if ((findings > 0)); then
  echo "::error::The audit log of $ENVIRONMENT has $findings findings: see docs/runbooks/audit-broken.md."
  exit 2
fi
