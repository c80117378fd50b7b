#!/usr/bin/env bash
# smoke.sh QUALIFIER   Invoke a version of the function, or its alias `live`, with tests/smoke/event.json; what comes
#                      back must hold what tests/smoke/expected.json says. Of `live` ask the same over HTTP as well, if
#                      the event is a call of the API. The event changes nothing: it reads, or it asks for what is refused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

event=tests/smoke/event.json
expected=tests/smoke/expected.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

failure=$(aws lambda invoke --function-name "$(function_name)" --qualifier "$1" \
  --payload "fileb://$event" --query FunctionError --output text "$work/answer.json")
if [[ $failure != None ]]; then
  echo "Version $1 failed: $(cat "$work/answer.json")" >&2
  exit 1
fi
jq --exit-status --slurpfile expected "$expected" \
  '. as $answer | $expected[0] | to_entries | all(.value == $answer[.key])' "$work/answer.json" > "$work/verdict" || {
  echo "Version $1 answered $(cat "$work/answer.json"), but $(jq --compact-output . "$expected") was expected." >&2
  exit 1
}
echo "Version $1 answers as expected."

method=$(jq --raw-output '.httpMethod // empty' "$event")
if [[ $1 != live || -z $method ]]; then exit 0; fi

url="$(api_url)$(jq --raw-output '.path' "$event")"
jq --raw-output '.body // empty' "$event" > "$work/body"
key=$(aws secretsmanager get-secret-value --secret-id "bbws/product-api/key-$ENVIRONMENT" --query SecretString --output text)
if [[ -n ${GITHUB_ACTIONS:-} ]]; then echo "::add-mask::$key"; fi
umask 077
printf 'header = "x-api-key: %s"\n' "$key" > "$work/key"

wanted=$(jq --raw-output '.statusCode' "$expected")
# API Gateway answers 404 too where it has no such method; the message tells whether it was the function that spoke.
wanted_message=$(jq --raw-output '.body | fromjson | .error.message // ""' "$work/answer.json")
arguments=(--silent --show-error --config "$work/key" --request "$method" --output "$work/body-received"
  --write-out '%{http_code}' --max-time 30)
if [[ -s $work/body ]]; then
  arguments+=(--header 'content-type: application/json' --data-binary "@$work/body")
fi
# A new deployment of the API reaches all of its servers within several seconds.
for attempt in 1 2 3 4 5 6; do
  status=$(curl "${arguments[@]}" "$url") || status="no answer"
  said=$(jq --raw-output '.error.message // ""' "$work/body-received") || said="no JSON"
  if [[ $status == "$wanted" && $said == "$wanted_message" ]]; then
    echo "$method $url answers $status as expected."
    exit 0
  fi
  echo "Attempt $attempt: $method $url answered $status $said, but $wanted $wanted_message was expected." >&2
  sleep "${SMOKE_TEST_PAUSE_SECONDS:-5}"
done
exit 1
