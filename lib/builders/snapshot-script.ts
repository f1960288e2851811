/** The end of the conversation: how many bytes the objects take on this disk, in a line, and then the pack. */
export const packing = String.raw`while IFS= read -r have && [ -n "$have" ]; do printf '%s\n' "$have"; done > "$tmp/haves"
{ printf '%s\n' $head $also "$staged" "$worktree"; cat "$tmp/haves"; } > "$tmp/revisions"
export GIT_ALTERNATE_OBJECT_DIRECTORIES=$tmp/git/objects
# A line that is no object makes the second program fail when the first one did.
{ theirs rev-list --objects-edge-aggressive --ignore-missing --stdin < "$tmp/revisions" || echo failed; } > "$tmp/sent"
sed -n 's/^\([0-9a-f]\{40\}\).*/\1/p' "$tmp/sent" | theirs cat-file --batch-check='%(objectsize:disk)' |
  awk '{ bytes += $1 } END { printf "%.0f\n", bytes }'
theirs pack-objects --delta-base-offset --stdout -q < "$tmp/sent"
`

/**
 * The part of shipping that runs on the control machine, with git alone.
 *
 * It describes a directory as `field value` lines and an empty line, then reads what the builder has (revisions for
 * `git rev-list --stdin`, up to an empty line) and answers with the size and a pack of what the builder lacks.
 *
 * Repositories that were fetched for other evaluations (lib/builders/fetched-script.ts) are removed a month after the
 * last one.
 *
 * The user's repository is only read: its index is copied first, and new objects go to a temporary repository that
 * borrows its objects. There every conversion (line ends, filters such as LFS) is off, because Nix takes a dirty tree
 * as the bytes of the work tree.
 *
 * Arguments: the directory, and `flake` (the nearest flake.nix upwards counts, as for `nix`), `input`, or `plain` (a
 * git repository is taken as a directory); then a commit that is wanted as well, if it is there.
 */
export const snapshotScript = String.raw`set -u
also=
if [ $# -gt 2 ]; then also=$3; fi
field() { printf '%s %s\n' "$1" "$2"; }
end() { field "$@"; echo; exit 0; }
there() { (cd -- "$1" 2>/dev/null && pwd -P); }
find "$(printenv HOME)/.cache/deploy/inputs" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + 2> /dev/null

dir=$(there "$1") || end problem missing
field owner "$(id -un)@$(uname -n)"
while [ "$2" = flake ] && ! [ -e "$dir/flake.nix" ]; do
  if [ "$dir" = / ] || [ -e "$dir/.git" ]; then end problem no-flake; fi
  dir=$(dirname -- "$dir")
done
field directory "$dir"
top=$dir
until [ "$2" != plain ] && [ -e "$top/.git" ]; do
  if [ "$top" = / ] || [ "$2" = plain ]; then end kibibytes "$(du -sk -- "$dir" | cut -f 1)"; fi
  top=$(dirname -- "$top")
done
command -v git > /dev/null || end problem no-git

# A hook of git, or a person, may have set some of these; they lead to another repository or index.
unset $(git rev-parse --local-env-vars) GIT_NAMESPACE GIT_CEILING_DIRECTORIES GIT_DISCOVERY_ACROSS_FILESYSTEM
unset GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_EXTERNAL_DIFF
export GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1 GIT_TERMINAL_PROMPT=0
cd -- "$top" || exit 1
theirs() {
  git -c core.fsmonitor=false -c core.splitIndex=false -c core.untrackedCache=false -c core.quotePath=false "$@"
}
top=$(theirs rev-parse --show-toplevel) && objects=$(theirs rev-parse --git-path objects) || exit 1
objects=$(there "$objects") || exit 1
[ "$(theirs rev-parse --show-object-format)" = sha1 ] || end problem sha256
head=$(theirs rev-parse -q --verify 'HEAD^{commit}') || head=
prefix=$(cd -- "$dir" && theirs rev-parse --show-prefix)
index=$(theirs rev-parse --git-path index)

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 143' HUP INT TERM
ours() { GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_DIR=$tmp/git GIT_WORK_TREE=$top git "$@"; }
GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git -c init.defaultBranch=x init -q --bare --template= "$tmp/git" &&
  mkdir -p "$tmp/git/info" "$tmp/git/objects/info" || exit 1
echo '* -text -filter -ident !working-tree-encoding' > "$tmp/git/info/attributes"
printf '%s\n' "$objects" > "$tmp/git/objects/info/alternates"
export GIT_INDEX_FILE=$tmp/index
# With its time: what was changed right after the index was written is found by comparing the two.
if [ -e "$index" ]; then cp -p -- "$index" "$GIT_INDEX_FILE" || exit 1; fi

field top "$top"
field prefix "$prefix"
if [ -n "$head" ]; then field head "$head"; fi
if [ "$(theirs rev-parse --is-shallow-repository)" = true ]; then
  while read -r commit; do field boundary "$commit"; done < "$(theirs rev-parse --git-path shallow)"
fi
theirs ls-files --stage | sed -n 's/^160000 \([0-9a-f]*\) 0[[:space:]]/\1 /p' | while read -r commit name; do
  # One that is not checked out has nothing to send.
  if [ -e "$name/.git" ]; then field submodule "$commit $name"; else field absent-submodule "$name"; fi
done
if [ -f .gitmodules ]; then
  theirs config --file .gitmodules --get-regexp '^submodule\..*\.(path|url)$' | while IFS= read -r line; do
    field module "$line"
  done
fi
if grep -qs 'submodules *= *true' "$dir/flake.nix"; then field wants-submodules yes; fi
if [ "$2" = flake ] && [ -z "$(theirs --literal-pathspecs ls-files -- "$prefix"flake.nix)" ]; then
  field problem untracked-flake
fi
theirs ls-files --others --exclude-standard --directory --no-empty-directory > "$tmp/untracked" || exit 1
field untracked-count "$(wc -l < "$tmp/untracked" | tr -d ' ')"
head -n 5 "$tmp/untracked" | while IFS= read -r name; do field untracked "$name"; done

same() { theirs diff --no-ext-diff --no-textconv --ignore-submodules=all --quiet "$@" --; }
theirs ls-files --deleted > "$tmp/deleted" || exit 1
# A file to be added later that is gone again is in neither difference.
if [ -n "$head" ] && same HEAD && same --cached HEAD && [ ! -s "$tmp/deleted" ]; then
  staged=$(theirs rev-parse "$head^{tree}") || exit 1
  worktree=$staged
else
  field dirty yes
  sed -n 's,/[^/]*$,,p' "$tmp/deleted" | sort -u | while IFS= read -r name; do
    if [ -d "$name" ]; then field emptied "$name"; fi
  done
  staged=$(GIT_OBJECT_DIRECTORY=$tmp/git/objects theirs write-tree 2> /dev/null) || staged=
  theirs ls-files --stage -z > "$tmp/entries" || exit 1
  export GIT_INDEX_FILE=$tmp/worktree
  # An intent-to-add entry is the empty file in here, and the repository need not have that one.
  ours hash-object -w --stdin < /dev/null > /dev/null
  ours update-index -z --index-info < "$tmp/entries" || exit 1
  named=$(ours write-tree 2> /dev/null) || named=
  ours add -u -- . && worktree=$(ours write-tree) || exit 1
  # A file to be added later that is gone again: a change that neither of the trees shows.
  if [ "$staged" = "$worktree" ]; then staged=$named; fi
  # In the middle of a merge there is no tree for the index.
  if [ -z "$staged" ]; then staged=$worktree; fi
fi
unset GIT_INDEX_FILE
field staged "$staged"
field worktree "$worktree"
echo

${packing}`
