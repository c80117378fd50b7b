#!/usr/bin/env bash
# clone-siblings.sh SOURCE FOLDER
#
# Clone the other repositories beside this one, the newest commit of main of each, so that checks of all of them together can run.
# SOURCE is where they are: a URL or folder with NAME in the place of the repository's name, for example
# https://github.com/example/NAME.git. FOLDER is where they go; an existing repository stays as it is.
set -euo pipefail

if (($# != 2)) || [[ $1 != *NAME* ]]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
origin=$1 folder=$2
mapfile -t repositories < "$(dirname "$0")/repositories.txt"
for repository in "${repositories[@]}"; do
  if [[ -e $folder/$repository ]]; then
    echo "$repository: there already"
    continue
  fi
  git clone --quiet --depth 1 --branch main "${origin/NAME/$repository}" "$folder/$repository"
  echo "$repository: $(git -C "$folder/$repository" rev-parse --short HEAD)"
done
