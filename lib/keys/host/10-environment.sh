# This program runs on a host, as root, in whatever /bin/sh is there, and looks after the keys that the host's accounts
# have at nixbuild.net, and the token that root may have there. lib/keys/program.ts puts it together. Nothing of it is
# installed, no private key leaves the host, and neither a private key nor the token is printed.
set -u
umask 022
export LC_ALL=C
PATH="/run/current-system/sw/bin:/run/wrappers/bin:/nix/var/nix/profiles/default/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export PATH
unset NIX_REMOTE SSH_AUTH_SOCK SSH_ASKPASS

service=eu.nixbuild.net
begins='# deploy keys: begin'
ends='# deploy keys: end'
# Only root can enter.
run_directory=/run/deploy-keys
token_file=$run_directory/token
# By account, the fingerprint of the last key that the service was seen to accept.
accepted_directory=/var/lib/deploy/accepted-keys

# In the memory of this shell alone: what is given to printf, [ and case is an argument of no process.
secret=
read_secret() {
  secret=${given_token-}
  [ -n "$secret" ] || { secret=$(sed -n 's/^SetEnv NIXBUILDNET_TOKEN=\([^ ]*\) .*/\1/p' "$token_file"); } 2> /dev/null
}

# One line that can't be mistaken for two, whatever `echo` makes of a backslash, and has no token in it.
plain() {
  before='' after=$*
  while [ -n "$secret" ]; do
    case $after in *"$secret"*) ;; *) break ;; esac
    before=$before${after%%"$secret"*}'(token)'
    after=${after#*"$secret"}
  done
  printf '%s' "$before$after" | tr '\n\t\\' '  /' | tr -cd ' -~' | cut -c 1-400
}

# Sets account, uid, gid, home, kind (key or token) and key, its file; fails where there is no such account.
enter() { # ACCOUNT, or ACCOUNT=token
  account=${1%=token}
  entry=$(getent passwd -- "$account") && [ -n "$entry" ] || return 1
  IFS=: read -r _ _ uid gid _ home _ <<ENTRY
$entry
ENTRY
  if [ "$account" = "$1" ]; then kind=key key=$home/.ssh/nixbuild; else kind=token key=$token_file; fi
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
