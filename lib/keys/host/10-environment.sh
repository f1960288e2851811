# This program runs on a host, as root, in whatever /bin/sh is there, and looks after the keys that the host's accounts
# have at nixbuild.net. lib/keys/program.ts puts it together. Nothing of it is installed, and no private key leaves
# the host or is printed.
set -u
umask 022
export LC_ALL=C
PATH="/run/current-system/sw/bin:/run/wrappers/bin:/nix/var/nix/profiles/default/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export PATH
unset NIX_REMOTE SSH_AUTH_SOCK SSH_ASKPASS

service=eu.nixbuild.net
begins='# deploy keys: begin'
ends='# deploy keys: end'

# One line that can't be mistaken for two.
plain() { printf '%s' "$*" | tr '\n\t' '  ' | tr -cd ' -~' | cut -c 1-400; }

# Sets account, uid, gid, home and key; fails where there is no such account.
enter() { # ACCOUNT
  account=$1
  entry=$(getent passwd -- "$account") && [ -n "$entry" ] || return 1
  IFS=: read -r _ _ uid gid _ home _ <<ENTRY
$entry
ENTRY
  key=$home/.ssh/nixbuild
}

# Runs a command as the account, with nothing of our own surroundings: no agent, no variables.
as_account() { # COMMAND..
  if [ "$uid" = 0 ]; then env -i PATH="$PATH" HOME="$home" USER="$account" LOGNAME="$account" LC_ALL=C "$@"
  else
    setpriv --reuid "$uid" --regid "$gid" --init-groups -- \
      env -i PATH="$PATH" HOME="$home" USER="$account" LOGNAME="$account" LC_ALL=C "$@"
  fi < /dev/null
}

# What is in the store belongs to the system's configuration: a switch puts it back.
is_in_store() { # PATH
  case $(readlink -f "$1" 2> /dev/null) in /nix/store/*) return 0 ;; esac
  return 1
}

# The name by which known_hosts has the service.
known_name() { # PORT
  if [ "$1" = 22 ]; then echo "$service"; else echo "[$service]:$1"; fi
}
