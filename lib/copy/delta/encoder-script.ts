import { searchPath } from '../../nix/search-path.ts'

/**
 * On the builder, with a level of zstd as the argument. Reads jobs, a line each, up to a line `.`: `NEW OLD SKIP` and the
 * steps of its windows (windows.ts), `BYTES,DROP,SKIP,ADD` each. Writes the patches in that order, each after its size in
 * 11 digits and a line end. Several jobs are done at once; none holds more than a window and its stretch. When standard
 * input ends, nobody wants the patches any more, and without a place the jobs end.
 */
export const encoderScript = String.raw`${searchPath}
set -u
level=$1
exec 3<&0 < /dev/null
parent=/var/tmp
[ -w "$parent" ] || parent=/tmp
# What a power cut or the like has left.
find "$parent" -maxdepth 1 -name 'deploy-patches.*' -user "$(id -u)" -mtime +0 -exec rm -rf {} + 2> /dev/null
place=$(mktemp -d "$parent/deploy-patches.XXXXXX") || exit 1
# More than once, as long as a job still writes to it.
clean() { for again in 1 2 3 4 5 6 7 8 9; do rm -rf "$place" && break; sleep 1; done; }
trap clean EXIT
trap 'exit 1' HUP INT TERM
number=0
while IFS= read -r line <&3 && [ "$line" != . ]; do
  number=$((number + 1))
  printf '%s %s\n' "$number" "$line"
done > "$place/jobs"
{ while read -r line; do :; done; clean; } <&3 > /dev/null 2>&1 &
watch=$!
processors=$(nproc 2> /dev/null || echo 2)
[ "$processors" -le 4 ] || processors=4

job='set -eu
place=$1 level=$2 number=$3 new=$4 old=$5 skip=$6
shift 6
mkdir "$place/$number"
cd "$place/$number"
: > held
nix-store --dump "$old" 2> /dev/null | {
  exec 3<&0
  nix-store --dump "$new" 2> /dev/null | {
    head -c "$skip" > /dev/null
    for step; do
      IFS=,
      set -- $step
      unset IFS
      [ "$3" = 0 ] || head -c "$3" <&3 > /dev/null
      { tail -c "+$(($2 + 1))" held; head -c "$4" <&3; } > next
      mv next held
      head -c "$1" > part
      zstd -q -f "$level" --long=27 --patch-from=held part -o patch
      printf "%011d\n" "$(wc -c < patch)"
      cat patch
    done
  }
} > "../$number.patches"
cd ..
rm -rf "$number"
echo "$number"'

next=1
xargs -P "$processors" -L 1 sh -c "$job" sh "$place" "$level" < "$place/jobs" 3<&- | while read -r done; do
  : > "$place/$done.done"
  while [ -e "$place/$next.done" ]; do
    cat "$place/$next.patches" || exit 1
    rm "$place/$next.done" "$place/$next.patches"
    next=$((next + 1))
  done
done
kill -KILL "$watch" 2> /dev/null
`
