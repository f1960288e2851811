/**
 * On the host, with what reads the stream as the argument. What comes is put together to that stream: `L N`, and N bytes
 * of it as they are; `D OLD`, and windows of patches against that path's NAR up to a line `.`, each `DROP SKIP ADD N`
 * (windows.ts) and N bytes. Nobody here judges what comes out: the store does, by the hash of the NAR.
 *
 * What is held of the old NAR must be a file. It has no name, so that nothing is left of it whatever dies; it is not in a
 * file system that is memory.
 */
export const decoderScript = `set -u
export LC_ALL=C
say() { echo "deploy: $*" >&2; }
for place in /var/tmp /nix/var/nix -; do
  [ "$place" != - ] || { say 'no room for patches in /var/tmp'; exit 1; }
  read -r type blocks size <<END
$(stat -f -c '%T %a %S' "$place" 2> /dev/null)
END
  case $type in '' | tmpfs | ramfs) continue ;; esac
  [ "$((blocks * size))" -lt 67108864 ] || break
done
directory=
trap '[ -z "$directory" ] || rm -rf "$directory"' EXIT
trap 'exit 1' HUP INT TERM
directory=$(mktemp -d "$place/deploy-patches.XXXXXX") || exit 1
exec 3<&0 4> "$directory/a" 5> "$directory/b" || exit 1
rm -rf "$directory"
held=4 next=5 options='-q -d -c --long=27'
if zstd -H 2> /dev/null | grep -q -e --mmap-dict; then options="$options --mmap-dict"; fi

windows() { # of the NAR on standard input
  : > "/proc/self/fd/$held"
  while IFS=' ' read -r drop skip add size <&3; do
    [ "$drop" != . ] || return 0
    [ "$skip" = 0 ] || head -c "$skip" > /dev/null
    { tail -c "+$((drop + 1))" "/proc/self/fd/$held" && head -c "$add"; } > "/proc/self/fd/$next" || return 1
    now=$next next=$held held=$now
    head -c "$size" <&3 | zstd $options --patch-from="/proc/self/fd/$held" || return 1
  done
  return 1
}
feed() {
  while IFS=' ' read -r kind value <&3; do
    case $kind in
      L) head -c "$value" <&3 || return 1 ;;
      D) nix-store --dump "$value" 2> /dev/null | windows || { say "cannot patch $value"; return 1; } ;;
      *) say 'unknown words'; return 1 ;;
    esac
  done
}
feed | sh -c "$1" 3<&- 4>&- 5>&-
`
