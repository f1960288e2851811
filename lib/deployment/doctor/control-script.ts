/**
 * What the doctor asks this machine: facts as lines `KEY VALUE`. Nobody is asked for a passphrase, nothing is connected
 * to, and nothing stays behind.
 *
 * Arguments: the directory of the flake, or nothing; then destinations, whose SSH configuration says which keys, agents
 * and files of host keys count.
 */
export const controlScript = String.raw`set -u
export LC_ALL=C
directory=$1
shift
for tool in ssh ssh-keygen ssh-add git tar; do
  if command -v "$tool" > /dev/null; then echo "tool $tool"; fi
done
echo "ssh-version $(ssh -V 2>&1 < /dev/null)"
echo "git-version $(git --version 2> /dev/null)"

at=$directory
while [ -n "$at" ]; do
  if [ -e "$at/.git" ]; then echo "in-git yes"; fi
  if [ "$at" = / ]; then break; fi
  at=$(dirname -- "$at")
done

home=$(printenv HOME) || eval "home=~$(id -un)"
expanded() {
  while IFS= read -r file; do
    case $file in
      '~/'*) printf '%s\n' "$home/$(printf '%s' "$file" | cut -c 3-)" ;;
      *) printf '%s\n' "$file" ;;
    esac
  done
}
scratch=$(mktemp -d) || { echo end; exit; }
trap 'rm -rf "$scratch"' EXIT
echo "temporary yes"
for destination; do ssh -G -- "$destination" 2> /dev/null < /dev/null; done > "$scratch/configuration"
values() { sed -n "s/^$1 //p" "$scratch/configuration" | sort -u | expanded; }

{ values identityagent | grep '^/'; printenv SSH_AUTH_SOCK | grep .; } | sort -u | while IFS= read -r socket; do
  SSH_AUTH_SOCK=$socket ssh-add -l > "$scratch/agent" 2> /dev/null < /dev/null
  case $? in
    0) echo "agent $(wc -l < "$scratch/agent" | tr -d ' ') $socket" ;;
    1) echo "agent 0 $socket" ;;
    *) echo "dead-agent $socket" ;;
  esac
done

values identityfile | while IFS= read -r file; do
  if [ ! -e "$file" ]; then continue; fi
  if [ ! -r "$file" ]; then echo "key unreadable $file"; continue; fi
  said=$(ssh-keygen -y -P '' -f "$file" 2>&1 > /dev/null < /dev/null) && { echo "key usable $file"; continue; }
  case $said in
    *'bad permissions'* | *'too open'*) echo "key exposed $file" ;;
    *passphrase*) echo "key encrypted $file" ;;
    *) echo "key odd $file" ;;
  esac
done

{ values userknownhostsfile; values globalknownhostsfile; } | tr ' ' '\n' | expanded | sort -u | while IFS= read -r file; do
  if [ ! -e "$file" ]; then continue; fi
  if [ -r "$file" ]; then echo "known-hosts $(grep -c '^[^#]' "$file") $file"; else echo "unreadable-known-hosts $file"; fi
done

place=$home/.cache/deploy/inputs
until [ -e "$place" ]; do place=$(dirname -- "$place"); done
if [ ! -w "$place" ]; then echo "unwritable $place"; fi
echo end
`
