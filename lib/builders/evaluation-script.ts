import { searchPath } from '../nix/search-path.ts'

/**
 * The part of an evaluation that runs on the builder, in one command, as a conversation in lines.
 *
 * It reads the first question. For each source that is a git repository it then says what it has (`have REVISION`), then `send`, and reads a pack. All
 * objects of a source live in one repository there, and the tree to evaluate in a work tree that no other evaluation
 * uses at the same time. HEAD, index and work tree are then what they are on the control machine, so that Nix sees the
 * same flake, its revision and dirtiness included. After that it answers questions, one line each, with JSON and
 * `exit CODE` on standard output; Nix's log goes to standard error, where a record separator ends each answer.
 *
 * When standard input ends, the control machine has lost interest or is gone, and what runs is ended: without a
 * terminal, nothing else tells a command that nobody waits for it.
 *
 * A submodule is a repository in the tree of the one before it. From a clean tree Nix fetches it by its URL, as it does
 * an input that the control machine has fetched: git is told to take both from the repositories of the objects.
 *
 * With less memory available than the first question needs, it says `memory KIBIBYTES` instead of an answer, and whoever
 * asks can ask for less at once.
 *
 * Arguments: a name for the lock; the number of sources; the KiB that the first question needs; ten for each source
 * (lib/builders/shipment.ts); arguments of `nix eval`. A question is `metadata`, or a function of nixosConfigurations
 * with record separators for line ends.
 */
export const evaluationScript = String.raw`set -u
umask 077
say() { printf '%s\n' "$*"; }
end() { say problem "$@"; exit 0; }
ours() { GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git "$@"; }
exec 3<&0 < /dev/null
IFS= read -r question <&3 || exit
${searchPath}
command -v nix > /dev/null || end no-nix
command -v git > /dev/null || end no-git
unset $(git rev-parse --local-env-vars) GIT_NAMESPACE GIT_CEILING_DIRECTORIES GIT_DISCOVERY_ACROSS_FILESYSTEM

sources=$HOME/.cache/deploy/sources
case $sources in *[!A-Za-z0-9._/-]*) end odd-home ;; esac
mkdir -p "$sources/lock-$1" && touch "$sources/lock-$1" && cd "$sources" || end no-room
find . -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + 2> /dev/null

# A number for the work trees that nobody else has now. The lock is free again when our last process has ended.
turn=1 remove=
if command -v flock > /dev/null; then
  while exec 9> "lock-$1/$turn"; ! flock -n 9; do turn=$((turn + 1)); done
else
  turn=p$$ remove="$sources/*/tree-$1-p$$"
fi
name=$1-$turn count=$2 needed=$3
shift 3
trap 'cd / && rm -rf $remove' EXIT
trap 'exit 143' HUP INT TERM

mirror() {
  fresh=
  # After a power cut it may be there with empty files.
  if [ -e "$store/ready" ] && ours -C "$store" rev-parse -q --is-bare-repository > /dev/null 2>&1; then return; fi
  fresh=yes
  rm -rf "$store" && ours init -q --bare --template= "$store" && mkdir -p "$store/info" &&
    echo '* -text -filter -ident !working-tree-encoding' > "$store/info/attributes" && : > "$store/ready"
}
# What Nix's own git would read from the user's configuration must not change what a file is.
work_tree() {
  rm -rf "$tree" && ours -c init.defaultBranch=deploy init -q --template= "$tree" &&
    mkdir -p "$tree/.git/objects/info" && printf '%s\n' "$store/objects" > "$tree/.git/objects/info/alternates" &&
    printf '\t%s\n' 'autocrlf = false' 'attributesFile = /dev/null' 'fsmonitor = false' 'untrackedCache = false' \
      'splitIndex = false' 'logAllRefUpdates = false' >> "$tree/.git/config" &&
    printf '%s\n' '[submodule]' '	active = .' '[remote "origin"]' "	url = $origin" >> "$tree/.git/config"
}
check_out() (
  cd "$tree" 2> /dev/null || exit 1
  if [ "$head" = - ]; then
    ours update-ref -d refs/heads/deploy || exit 1
  else
    ours update-ref refs/heads/deploy "$head" || exit 1
  fi
  if [ -e .git/emptied ]; then
    while IFS= read -r directory; do rmdir -p -- "$directory" 2> /dev/null; done < .git/emptied
  fi
  rm -f .git/shallow .git/emptied
  if [ -n "$boundary" ]; then printf '%s\n' $boundary > .git/shallow; fi
  # By way of the mirror, where attributes don't convert anything.
  export GIT_DIR="$store" GIT_WORK_TREE="$tree" GIT_INDEX_FILE="$tree/.git/checked-out"
  ours read-tree --reset -u "$worktree" && cp -p .git/checked-out .git/index || exit 1
  if [ "$staged" != "$worktree" ]; then
    export GIT_INDEX_FILE="$tree/.git/index"
    # What is only in the work tree is what is to be added later.
    ours read-tree --reset "$staged" &&
      ours diff-tree -r -z --name-only --no-renames --diff-filter=A "$staged" "$worktree" > .git/later || exit 1
    if [ -s .git/later ]; then
      ours --literal-pathspecs add -N -f --pathspec-from-file=.git/later --pathspec-file-nul || exit 1
    fi
  fi
  if [ -n "$emptied" ]; then
    printf '%s\n' "$emptied" > .git/emptied
    while IFS= read -r directory; do mkdir -p -- "$directory"; done < .git/emptied
  fi
  # Later than any file: nobody else writes here, so none of them has to be read again to see whether it changed.
  touch -t 203801010000 .git/checked-out .git/index
)
known() {
  if [ -n "$boundary" ]; then revision=tree; else revision=objectname; fi
  ours -C "$store" for-each-ref --format="have ^%($revision)" refs/deploy/heads
  ours -C "$store" for-each-ref --format='%(objectname)' refs/deploy/trees > "$store/trees"
  ours -C "$store" for-each-ref --format='^%(tree)' refs/deploy/heads >> "$store/trees"
  ours -C "$store" rev-list --objects --stdin < "$store/trees" 2> /dev/null |
    head -n 2000 | sed 's/^\([0-9a-f]*\).*/have ^\1/'
}
remember() {
  if [ "$head" != - ]; then ours -C "$store" update-ref "refs/deploy/heads/$head" "$head" || return 1; fi
  ours -C "$store" update-ref refs/deploy/trees/staged "$staged" &&
    ours -C "$store" update-ref refs/deploy/trees/worktree "$worktree" || return 1
  if [ -n "$boundary" ]; then merged= ; else merged=--merged=$head; fi
  if [ "$head" != - ]; then
    {
      ours -C "$store" for-each-ref $merged --format='delete %(refname)' refs/deploy/heads
      ours -C "$store" for-each-ref --sort=-committerdate --format='delete %(refname)' refs/deploy/heads | tail -n +21
    } | grep -v "/$head\$" | sort -u | ours -C "$store" update-ref --stdin 2> /dev/null
  fi
  return 0
}
# One at a time for each source, so that what somebody else sends at this moment is not sent twice.
receive() {
  place=$sources/$where store=$sources/$where/git
  case $kind in
    submodule) tree=$outer/$query ;;
    *) tree=$sources/$where/tree-$name ;;
  esac
  mkdir -p "$place" && touch "$place" && exec 8> "$place/lock" || end no-room
  if command -v flock > /dev/null; then flock 8; fi
  mirror || end no-room
  if [ -n "$boundary" ]; then printf '%s\n' $boundary > "$store/shallow"; fi
  known
  say send
  if ! ours -C "$store" index-pack --stdin --fix-thin <&3 > /dev/null; then
    # What it has may not be what it says that it has.
    rm -rf "$store" "$tree"
    if [ "$fresh" = yes ]; then end no-pack; else end incomplete; fi
  fi
  if remember; then
    exec 8>&-
    if [ "$kind" = fetched ]; then return; fi
    if check_out 2> /dev/null || { work_tree && check_out; }; then return; fi
  fi
  rm -rf "$store" "$tree"
  end incomplete
}

# Relative URLs of submodules start from the remote's; it is there for that only.
origin=https://deploy.invalid/1/2/3/4/5/6/7/8/tree
GIT_CONFIG_COUNT=0
setting() { # NAME VALUE
  export "GIT_CONFIG_KEY_$GIT_CONFIG_COUNT=$1" "GIT_CONFIG_VALUE_$GIT_CONFIG_COUNT=$2"
  GIT_CONFIG_COUNT=$((GIT_CONFIG_COUNT + 1))
}
from_base() { # URL RELATIVE
  base=$1 rest=$2
  while :; do
    case $rest in
      ../*) base=$(dirname -- "$base") rest=$(printf '%s' "$rest" | cut -c 4-) ;;
      ./*) rest=$(printf '%s' "$rest" | cut -c 3-) ;;
      *) break ;;
    esac
  done
  printf '%s/%s' "$base" "$rest"
}
# Under all the names that Nix may have for it.
fetched_from_store() { # URL
  if [ -z "$1" ]; then return; fi
  case $1 in
    ./* | ../*)
      setting "url.$store.insteadOf" "$(from_base "$origin" "$1")"
      # Before Nix 2.20 it starts from the tree itself, and git takes no other name for a path.
      sibling=$(printf '%s' "$1" | cut -c 4-)
      case $sibling in */* | git | lock | tree-* | shallow) ;; *) ln -sfn "$store" "$(dirname -- "$outer")/$sibling" ;; esac ;;
    *://* | /*) setting "url.$store.insteadOf" "$1" ;;
    *)
      setting "url.$store.insteadOf" "$1"
      setting "url.$store.insteadOf" "ssh://$(printf '%s' "$1" | sed 's,:,/,')" ;;
  esac
  # A clone by git is refused otherwise, because others may own a repository: this one is ours.
  setting protocol.file.allow always
  if ours -C "$store" cat-file -e "$input^{commit}" 2> /dev/null; then
    ours -C "$store" update-ref "refs/deploy/heads/$input" "$input"
    case $kind in
      fetched) branch=$query ;;
      *) branch=refs/heads/deploy ;;
    esac
    ours -C "$store" update-ref "$branch" "$input"
    case $branch in refs/heads/*) ours -C "$store" symbolic-ref HEAD "$branch" ;; esac
  fi
}

flake=
while [ "$count" -gt 0 ]; do
  input=$1 kind=$2 where=$3 head=$4 staged=$5 worktree=$6 boundary=$7 emptied=$8 query=$9
  shift 9
  url=$1
  shift
  count=$((count - 1))
  case $kind in
    submodule | fetched)
      receive
      fetched_from_store "$url"
      continue ;;
    git) receive; outer=$tree reference=git+file://$tree$query ;;
    path) remove="$remove $where"; reference=path:$where/source$query ;;
    *) reference=$where ;;
  esac
  if [ "$input" = - ]; then flake=$reference; else set -- "$@" --override-input "$input" "$reference"; fi
done

# A source that is in the store is on the disk: after a power cut an empty one would count as valid, and could never be
# evaluated again (https://github.com/NixOS/nix/issues/11457). Before Nix 2.25 a warning, which nobody is shown.
run() {
  if [ "$GIT_CONFIG_COUNT" -gt 0 ]; then export GIT_CONFIG_COUNT; fi
  nix --option fsync-store-paths true --extra-experimental-features 'nix-command flakes' --log-format internal-json "$@" 3<&- &
  nix=$!
  { while read -r line; do :; done; kill "$nix"; sleep 2; kill -KILL "$nix"; } <&3 > /dev/null 2>&1 9>&- &
  watch=$!
  wait "$nix"
  code=$?
  # Not a signal that it could miss: right after the fork, a shell still has the traps of its parent.
  kill -KILL "$watch" 2> /dev/null
  wait "$watch" 2> /dev/null
}
available=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo 2> /dev/null)
if [ -n "$available" ] && [ "$available" -lt "$needed" ]; then
  printf '\036\n' >&2
  printf 'memory %s\nexit 75\n' "$available"
  IFS= read -r question <&3 || exit
fi
while :; do
  if [ "$question" = metadata ]; then
    run flake metadata --json --no-write-lock-file "$flake"
  else
    function=$(printf '%s' "$question" | tr '\036' '\n')
    run eval --json --no-write-lock-file --apply "$function" "$flake#nixosConfigurations" "$@"
  fi
  printf '\036\n' >&2
  printf '\nexit %s\n' "$code"
  IFS= read -r question <&3 || break
done
exec 9>&-
for store in */git; do ours -C "$store" -c gc.auto=2000 -c gc.autoDetach=false gc --auto -q 2> /dev/null; done
`
