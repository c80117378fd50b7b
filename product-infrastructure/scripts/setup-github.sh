#!/usr/bin/env bash
# setup-github.sh ids OWNER
#     Print the values for terraform/deploy-roles/environments/*.tfvars: GitHub's IDs of owner and repositories.
# setup-github.sh environments OWNER ENVIRONMENT [--reviewers TEAM] [--apply]
#     Create the GitHub environments ENVIRONMENT-plan and ENVIRONMENT in the eight repositories, for the branch main alone, with
#     the variables from the output of deploy-roles. --reviewers: the team that approves what is applied to ENVIRONMENT.
# setup-github.sh rules OWNER [--apply]
#     Protect main in the eight repositories: pull requests with one review, passing checks, no force push, no deletion.
#
# Without --apply, prints what would be done. Needs gh, signed in as an administrator of the repositories, and jq; `environments`
# also terraform, with deploy-roles applied and initialised for ENVIRONMENT.
set -euo pipefail
cd "$(dirname "$0")/.."

repositories=(product-infrastructure list-products get-product create-product update-product delete-product product-creator audit-logger)
apply=no

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

# call METHOD PATH [JSON]: one call of GitHub's API, or what it would be.
call() {
  if [[ $apply == no ]]; then
    echo "$1 $2 ${3:-}"
  elif [[ -n ${3:-} ]]; then
    gh api --method "$1" "$2" --input - <<< "$3" > /dev/null
  else
    gh api --method "$1" "$2" > /dev/null
  fi
}

# set_variable REPOSITORY ENVIRONMENT NAME VALUE
set_variable() {
  if [[ $apply == no ]]; then
    echo "set $3=$4 in $1, environment $2"
  else
    gh variable set "$3" --repo "$owner/$1" --env "$2" --body "$4" < /dev/null
  fi
}

ids() {
  echo "github_owner    = \"$owner\""
  echo "github_owner_id = \"$(gh api "users/$owner" --jq .id)\""
  echo "github_repository_ids = {"
  local repository
  for repository in "${repositories[@]}"; do
    echo "  $repository = \"$(gh api "repos/$owner/$repository" --jq .id)\""
  done
  echo "}"
}

environments() {
  local variables repository action name body reviewers=null
  variables=$(terraform -chdir=terraform/deploy-roles output -json environment_variables)
  if [[ -n $team ]]; then
    reviewers=$(jq --null-input --argjson id "$(gh api "orgs/$owner/teams/$team" --jq .id)" '[{type: "Team", $id}]')
  elif [[ $environment == prod ]]; then
    echo "prod needs --reviewers TEAM: the deploy workflow refuses it without required reviewers." >&2
    exit 1
  fi
  for repository in "${repositories[@]}"; do
    for action in plan apply; do
      name=$environment
      if [[ $action == plan ]]; then name=$environment-plan; fi
      body=$(jq --null-input --compact-output --arg action "$action" --argjson reviewers "$reviewers" '
        { deployment_branch_policy: { protected_branches: false, custom_branch_policies: true } }
        + if $action == "apply" and $reviewers != null then { $reviewers, prevent_self_review: true } else {} end')
      call PUT "repos/$owner/$repository/environments/$name" "$body"
      # A second run finds the policy there already.
      call POST "repos/$owner/$repository/environments/$name/deployment-branch-policies" '{"name":"main"}' \
        || echo "$repository, environment $name: the branch policy exists already"
      while IFS=$'\t' read -r variable value; do
        set_variable "$repository" "$name" "$variable" "$value"
      done < <(jq --raw-output --arg key "$repository/$action" '.[$key] | to_entries[] | "\(.key)\t\(.value)"' <<< "$variables")
    done
  done
}

rules() {
  local repository body
  body=$(jq --null-input --compact-output '{
    name: "main", target: "branch", enforcement: "active",
    conditions: { ref_name: { include: ["~DEFAULT_BRANCH"], exclude: [] } },
    rules: [
      { type: "deletion" }, { type: "non_fast_forward" },
      { type: "pull_request", parameters: {
          required_approving_review_count: 1, dismiss_stale_reviews_on_push: true, require_code_owner_review: true,
          require_last_push_approval: true, required_review_thread_resolution: false } }
    ] }')
  for repository in "${repositories[@]}"; do
    call POST "repos/$owner/$repository/rulesets" "$body"
  done
}

(($# >= 2)) || usage
command=$1 owner=$2
shift 2
environment='' team=''
if [[ $command == environments ]]; then
  environment=${1:-}
  [[ $environment =~ ^(dev|sit|prod)$ ]] || usage
  shift
fi
while (($# > 0)); do
  case $1 in
    --apply) apply=yes ;;
    --reviewers)
      team=${2:-}
      [[ -n $team ]] || usage
      shift
      ;;
    *) usage ;;
  esac
  shift
done
case $command in
  ids) ids ;;
  environments) environments ;;
  rules) rules ;;
  *) usage ;;
esac
if [[ $apply == no && $command != ids ]]; then echo "Dry run: no changes made. Re-run with --apply."; fi
