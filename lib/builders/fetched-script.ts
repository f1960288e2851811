/**
 * The part of shipping an input that the control machine's git fetches. All of a repository is kept in
 * ~/.cache/deploy/inputs, so that what is fetched next is only what is new. Its age is that of its last use.
 *
 * It describes the commit like lib/builders/snapshot-script.ts does, and goes on as that does.
 *
 * Arguments: the URL, the commit, the branch or tag it was on (may be empty), and a name for the repository here.
 */
import { packing } from './snapshot-script.ts'

export const fetchedScript = String.raw`set -u
field() { printf '%s %s\n' "$1" "$2"; }
end() { field "$@"; echo; exit 0; }
url=$1 head=$2 ref=$3 also=
command -v git > /dev/null || end problem no-git
# Those that lead to another repository; settings that are given this way may be what makes the fetch work.
unset $(git rev-parse --local-env-vars | grep -v '^GIT_CONFIG') GIT_NAMESPACE
# Nobody is asked for anything.
export GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1
if [ -z "$(git config core.sshCommand)" ]; then export GIT_SSH_COMMAND="$(printenv GIT_SSH_COMMAND || echo ssh) -o BatchMode=yes"; fi
repository=$HOME/.cache/deploy/inputs/$4
umask 077
mkdir -p "$repository" && touch "$repository" || end problem no-room
git init -q --bare --template= "$repository" || end problem no-room
theirs() { git -C "$repository" "$@"; }
is_there() { theirs cat-file -e "$head^{commit}" 2> /dev/null; }
case $ref in '' | refs/*) ;; *) ref=refs/heads/$ref ;; esac
if [ -n "$ref" ] && ! is_there; then
  theirs fetch -q --no-tags --no-write-fetch-head -- "$url" "+$ref:$ref" || :
fi
if ! is_there; then
  theirs fetch -q --no-tags --no-write-fetch-head -- "$url" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' ||
    end problem unfetched
fi
is_there || end problem gone
theirs update-ref "refs/locked/$head" "$head"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 143' HUP INT TERM
mkdir "$tmp/git" "$tmp/git/objects"
staged=$(theirs rev-parse "$head^{tree}") || exit 1
worktree=$staged
field owner "$(id -un)@$(uname -n)"
field top "$repository"
field head "$head"
field staged "$staged"
field worktree "$worktree"
field untracked-count 0
echo
${packing}`
