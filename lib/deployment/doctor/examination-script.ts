import { searchPath } from '../../nix/search-path.ts'

/**
 * What the doctor asks a machine, in one command: facts as lines `KEY VALUE`. It runs as the user who logs in; what
 * only root knows of a host is asked by the host program, which it starts as a deployment would. Nothing stays behind.
 *
 * Standard output before `begin` was printed by a start-up file of the shell, and would break every conversation.
 * Substituters are asked by Nix itself, so that its certificates, proxies and passwords count; without its cache, which
 * remembers an answer for a week.
 *
 * Arguments: whether substituters are tried (`yes`), then the command that runs the host program, if there is one.
 */
const script = String.raw`set -u
export LC_ALL=C
${searchPath}
nix_says() { nix --extra-experimental-features nix-command "$@" 2> /dev/null; }
settings() { nix_says config show || nix_says show-config; }
limited() { if command -v timeout > /dev/null; then timeout 15 "$@"; else "$@"; fi; }
first_there() { # DIRECTORY
  place=$1
  until [ -e "$place" ]; do place=$(dirname -- "$place"); done
  printf '%s' "$place"
}

look() {
  echo begin
  echo "time $(date +%s)"
  echo "user $(id -un)"
  for tool in nix nix-daemon git tar; do
    if command -v "$tool" > /dev/null; then echo "tool $tool"; fi
  done
  df -P -k /nix/store 2> /dev/null | awk 'NR == 2 { printf "free-store %.0f\n", $4 * 1024 }'
  df -P -i /nix/store 2> /dev/null | awk 'NR == 2 && $2 + 0 > 0 { print "free-inodes", $4 }'
  place=$(first_there "$HOME/.cache/deploy/sources")
  if [ ! -w "$place" ]; then echo "unwritable $place"; fi
  df -P -k "$place" 2> /dev/null | awk 'NR == 2 { printf "free-sources %.0f\n", $4 * 1024 }'
  if ! command -v nix > /dev/null; then return; fi
  echo "nix-version $(nix --version)"
  # Its name before Nix 2.19.
  verb=info
  nix_says store info > /dev/null || verb=ping
  if nix_says store "$verb" > /dev/null; then echo "store yes"; else echo "store no"; fi
  settings | awk '/^[a-z0-9-]+ =/ { shown = index(" system extra-platforms system-features builders substituters trusted-public-keys require-sigs ", " " $1 " ") }
    shown { print "setting", $0 }'
  machines=$(settings | sed -n 's/^builders = @//p')
  if [ -r "$machines" ]; then sed 's/^/machine-file /' "$machines"; fi
  if [ "$1" = yes ]; then try_substituters; fi
}

try_substituters() {
  scratch=$(mktemp -d) || return
  for url in $(settings | sed -n 's/^substituters = //p'); do
    (
      export XDG_CACHE_HOME="$scratch"
      if nix_asks "$url"; then echo "substituter yes $url"; else echo "substituter no $url"; fi
    ) &
  done
  wait
  rm -rf "$scratch"
}
nix_asks() { # URL
  limited nix --extra-experimental-features nix-command --option connect-timeout 5 --option download-attempts 1 \
    store "$verb" --store "$1" > /dev/null 2>&1
}
`

/** What the shell reads: `program` is the host program, undefined on a builder. */
export function examinationInput(program: string | undefined): string {
  if (program === undefined) return `${script}look "$1" < /dev/null\necho end\n`
  const end = 'end of the host program'
  if (program.includes(end)) throw new RangeError('the host program holds the mark of its own end')
  return `${script}ask_host() {
"$@" <<'${end}'
${program}
${end}
}
look "$1" < /dev/null
shift
# Where nobody becomes root, the user who logs in knows some of it.
ask_host "$@" || ask_host /bin/sh -s -- doctor
echo end
`
}
