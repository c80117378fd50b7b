#!/usr/bin/env bash
# setup-github.sh ids OWNER
#     Print the values for terraform/deploy-roles/environments/*.tfvars: GitHub's IDs of owner and repositories.
# setup-github.sh environments OWNER ENVIRONMENT [--reviewers TEAM] [--apply]
#     Create the GitHub environments ENVIRONMENT-plan and ENVIRONMENT in the eight repositories, and ENVIRONMENT-audit in
#     product-infrastructure, for the branch main alone, with the variables from the output of deploy-roles. --reviewers: the
#     team that approves what is applied to ENVIRONMENT.
# setup-github.sh owners OWNER TEAM [--apply]
#     Write .github/CODEOWNERS to main of the eight repositories: TEAM reviews every change. Before `rules`, which protects main.
# setup-github.sh rules OWNER [--apply]
#     Protect main in the eight repositories: pull requests with one review of a code owner, passing checks, no force push, no
#     deletion.
#
# Without --apply, prints what would be done. A second run changes what is there. Needs gh, signed in as an administrator of the
# repositories, and jq; `environments` also terraform, with deploy-roles applied and initialised for ENVIRONMENT.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t repositories < scripts/repositories.txt
apply=no

usage() {
  sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
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
  local variables repository action name body policies reviewers=null
  variables=$(terraform -chdir=terraform/deploy-roles output -json environment_variables)
  if [[ -n $team ]]; then
    reviewers=$(jq --null-input --argjson id "$(gh api "orgs/$owner/teams/$team" --jq .id)" '[{type: "Team", $id}]')
  elif [[ $environment == prod ]]; then
    echo "prod needs --reviewers TEAM: the deploy workflow refuses it without required reviewers." >&2
    exit 1
  fi
  for repository in "${repositories[@]}"; do
    for action in plan apply audit; do
      # Only product-infrastructure verifies the audit log.
      if ! jq --exit-status --arg key "$repository/$action" 'has($key)' <<< "$variables" > /dev/null; then continue; fi
      name=$environment-$action
      if [[ $action == apply ]]; then name=$environment; fi
      body=$(jq --null-input --compact-output --arg action "$action" --argjson reviewers "$reviewers" '
        { deployment_branch_policy: { protected_branches: false, custom_branch_policies: true } }
        + if $action == "apply" and $reviewers != null then { $reviewers, prevent_self_review: true } else {} end')
      call PUT "repos/$owner/$repository/environments/$name" "$body"
      # A second run finds the policy there already.
      policies=repos/$owner/$repository/environments/$name/deployment-branch-policies
      if [[ $apply == no || $(gh api "$policies" --jq '[.branch_policies[].name] | index("main")') == null ]]; then
        call POST "$policies" '{"name":"main"}'
      fi
      while IFS=$'\t' read -r variable value; do
        set_variable "$repository" "$name" "$variable" "$value"
      done < <(jq --raw-output --arg key "$repository/$action" '.[$key] | to_entries[] | "\(.key)\t\(.value)"' <<< "$variables")
    done
  done
}

owners() {
  local repository path sha body
  path=contents/.github/CODEOWNERS
  for repository in "${repositories[@]}"; do
    # Replacing a file takes the hash of the one that is there.
    sha=$(gh api "repos/$owner/$repository/$path" --jq .sha 2> /dev/null) || sha=''
    body=$(jq --null-input --compact-output --arg sha "$sha" --arg line "* @$owner/$team" '
      { message: "Code owners", branch: "main", content: ("\($line)\n" | @base64) } + if $sha == "" then {} else { $sha } end')
    call PUT "repos/$owner/$repository/$path" "$body"
  done
}

# The names of the jobs in each repository's ci.yml.
checks() {
  case $1 in
    product-infrastructure) jq --null-input '["Contracts", "Scripts", "Terraform", "Tools"]' ;;
    *) jq --null-input '["Format, lint, test", "Scripts", "Terraform"]' ;;
  esac
}

rules() {
  local repository body id
  for repository in "${repositories[@]}"; do
    body=$(jq --null-input --compact-output --argjson checks "$(checks "$repository")" '{
      name: "main", target: "branch", enforcement: "active",
      conditions: { ref_name: { include: ["~DEFAULT_BRANCH"], exclude: [] } },
      rules: [
        { type: "deletion" }, { type: "non_fast_forward" },
        { type: "required_status_checks", parameters: {
            strict_required_status_checks_policy: true, required_status_checks: [$checks[] | { context: . }] } },
        { type: "pull_request", parameters: {
            required_approving_review_count: 1, dismiss_stale_reviews_on_push: true, require_code_owner_review: true,
            require_last_push_approval: true, required_review_thread_resolution: false } }
      ] }')
    id=''
    if [[ $apply == yes ]]; then
      id=$(gh api "repos/$owner/$repository/rulesets" --jq '[.[] | select(.name == "main").id][0] // ""')
    fi
    if [[ -n $id ]]; then
      call PUT "repos/$owner/$repository/rulesets/$id" "$body"
    else
      call POST "repos/$owner/$repository/rulesets" "$body"
    fi
  done
}

(($# >= 2)) || usage
command=$1 owner=$2
shift 2
environment='' team=''
case $command in
  environments)
    environment=${1:-}
    [[ $environment =~ ^(dev|sit|prod)$ ]] || usage
    shift
    ;;
  owners)
    team=${1:-}
    [[ $team =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]] || usage
    shift
    ;;
esac
while (($# > 0)); do
  case $1 in
    --apply) apply=yes ;;
    --reviewers)
      team=${2:-}
      [[ $command == environments && -n $team ]] || usage
      shift
      ;;
    *) usage ;;
  esac
  shift
done
case $command in
  ids) ids ;;
  environments) environments ;;
  owners) owners ;;
  rules) rules ;;
  *) usage ;;
esac
if [[ $apply == no && $command != ids ]]; then echo "Dry run: no changes made. Re-run with --apply."; fi
