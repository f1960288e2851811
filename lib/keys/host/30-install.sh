# Keys are made, mended and put in place. What is in an account's home is changed as that account, so that no link there
# leads root astray.

did() { echo "did $account: $(plain "$*")"; }
could_not() { echo "could-not $account: $(plain "$*")"; }

enter_known() { # ACCOUNT; fails and says so where there is no such account
  ! enter "$1" || return 0
  could_not 'there is no such account'
  return 1
}

# FILE is there, whole, with its public half, or not at all.
make_key() { # FILE COMMENT
  as_account sh -c '
    umask 077
    mkdir -p "$HOME/.ssh" && rm -f "$1.new" "$1.new.pub" &&
      ssh-keygen -q -t ed25519 -N "" -C "$2" -f "$1.new" && sync -f "$1.new" &&
      chmod 644 "$1.new.pub" && mv -f "$1.new.pub" "$1.pub" && mv -f "$1.new" "$1" && sync -f "$1"
  ' sh "$1" "$2"
}

# What follows the key's name in those of keys that were set aside: .unusable, .unusable.2, …
unusable_suffixes() {
  for file in "$key.unusable" "$key.unusable."*; do
    suffix=${file#"$key"}
    case $suffix in
      .unusable | .unusable.[0-9] | .unusable.[0-9][0-9]) [ ! -e "$file" ] || echo "$suffix" ;;
    esac
  done
}

# A key that can't be used stays beside the new one, under a name that no other one has: the account may know them all.
replace_key() { # COMMENT WHY
  aside=$key.unusable number=1
  while [ -e "$aside" ] || [ -L "$aside" ]; do
    number=$((number + 1)) aside=$key.unusable.$number
    if [ $number -gt 99 ]; then
      could_not "$2, and too many were set aside: \`deploy keys revoke\` takes them away"
      return
    fi
  done
  # With its public half, whose comment tells whose key it was.
  as_account sh -c 'mv "$1" "$2" && { [ ! -f "$1.pub" ] || mv "$1.pub" "$2.pub"; }' sh "$key" "$aside" && make_key "$key" "$1" &&
    did "$2: a new key in its place; the other is $aside, and stays in the account until the keys are revoked"
}

mend_line_ends() {
  as_account sh -c '
    umask 077
    tr -d "\r" < "$1" | sed -e "\$a\\" > "$1.new" && sync -f "$1.new" && mv -f "$1.new" "$1"
  ' sh "$key" && did 'the line ends of the key are mended'
}

install_key() { # COMMENT
  if [ -L "$key" ]; then
    [ -e "$key" ] || could_not "$key is a link to nothing"
    return
  fi
  if [ ! -e "$key" ]; then
    if make_key "$key" "$1"; then did "key made: $key"; else could_not "$key could not be made"; fi
    return
  fi
  # Whose it is decides the owner of the directory, who may have put there what he can't read.
  if [ "$(stat -c %u "$key")" != "$uid" ]; then
    replace_key "$1" 'the key belonged to somebody else' || could_not "$key belongs to somebody else"
    return
  fi
  case $(stat -c %a "$key") in
    600 | 400) ;;
    *) as_account chmod 600 "$key" && did "only $account may read the key now; who has read it before has it still: deploy keys rotate" ;;
  esac
  case $(form_of "$key") in line-ends | no-final-newline) mend_line_ends ;; esac
  case $(form_of "$key") in
    ok) ;;
    passphrase) replace_key "$1" 'the key has a passphrase, which nobody types for the daemon' ;;
    other-type) replace_key "$1" 'the key is not of type Ed25519' ;;
    no-key) replace_key "$1" 'the file is no private key' ;;
    *) could_not 'the key is not usable' ;;
  esac
}

is_in_memory() { case $(stat -fLc %T "$1") in tmpfs | ramfs) return 0 ;; esac; return 1; } # DIRECTORY

# What the block includes: the token as the variable by which the service takes it, and by its older name.
install_token() {
  if ! make_run_directory || ! is_in_memory "$run_directory"; then
    could_not "$run_directory is not in memory there: a token would stay on the disk"
    return
  fi
  wanted="SetEnv NIXBUILDNET_TOKEN=$secret token=$secret"
  if [ -f "$key" ] && [ "$(cat "$key")" = "$wanted" ] && [ "$(stat -c '%u %a' "$key")" = '0 600' ]; then return; fi
  if (umask 077; rm -f "$key.new"; printf '%s\n' "$wanted" > "$key.new" && mv -f "$key.new" "$key"); then
    did "the token is in $key, until the next boot"
  else
    could_not "$key could not be written"
  fi
}

# Whether ssh, as this account, does all that the block says.
is_configured() { # PORT
  facts=$(describe_configuration - -)
  logs_in && is_told 'alive 60' && is_told 'ipqos throughput' && is_told "port $1" && ! block_is_open
}
is_told() { printf '%s\n' "$facts" | grep -qxF "$1"; }
logs_in() {
  if [ $kind = token ]; then is_told 'login authtoken' && is_told 'authentications none' && is_told 'sends-token yes'
  else [ "$(printf '%s\n' "$facts" | sed -n 's/^identity //p' | head -n 1)" = "$key" ] && is_told 'identities-only yes' && ! is_told 'authentications none'; fi
}

# What the block says of how to log in, one line each.
login_lines() {
  if [ $kind = token ]; then
    echo '  User authtoken'
    echo '  PreferredAuthentications none'
    echo '  PubkeyAuthentication no'
    echo "  Include $key"
  else
    echo "  IdentityFile $key"
    # For a connection that is being made while the key is changed: ssh reads the public half first, and the private one
    # when it has to sign.
    echo "  IdentityFile $key.old"
    echo '  IdentitiesOnly yes'
  fi
}

# Takes the block out of the account's configuration and puts this one in front: the first value that ssh reads counts.
# What follows holds for every host again. Where a block has no end, nobody can say what is part of it: fails, and changes
# nothing.
write_configuration() { # BLOCK (WHICH); empty: none
  as_account sh -c '
    umask 077
    file=$HOME/.ssh/config
    [ -z "$1" ] || mkdir -p "$HOME/.ssh" || exit 1
    { [ -z "$1" ] || printf "%s\n" "$2" "$1" "Match all" "$3"
      [ ! -e "$file" ] || awk -v begins="$2" -v ends="$3" "
        \$0 == begins { broken += inside; inside = 1 } ! inside { print } \$0 == ends { inside = 0 }
        END { exit (broken + inside > 0) }
      " "$file"
    } > "$file.new" && sync -f "$file.new" && mv -f "$file.new" "$file" || { rm -f "$file.new"; exit 1; }
  ' sh "$1" "$begins${2:+ $2}" "$ends${2:+ $2}"
}

# Takes out what was put there, if anything was.
drop_configuration() { # (WHICH)
  [ -f "$home/.ssh/config" ] && ! is_link "$home/.ssh/config" || return 0
  ! grep -qxF "$begins${1:+ $1}" "$home/.ssh/config" 2> /dev/null || write_configuration '' "${1:-}"
}

is_link() { [ -L "$1" ]; }

install_configuration() { # PORT
  ! is_configured "$1" || return 0
  if is_link "$home/.ssh/config"; then
    could_not "$home/.ssh/config is a link to $(readlink -f "$home/.ssh/config"): change it where it comes from"
    return
  fi
  # ssh refuses a file that others may write.
  [ ! -e "$home/.ssh/config" ] || as_account chmod go-w "$home/.ssh/config"
  write_configuration "Host $service
  Port $1
$(login_lines)
  ServerAliveInterval 60
  IPQoS throughput" || {
    could_not "$home/.ssh/config could not be changed: does each line \`$begins\` in it have its \`$ends\`?"
    return
  }
  if is_configured "$1"; then did "$home/.ssh/config has a block for $service"
  else could_not "ssh as $account does not read what $home/.ssh/config says of $service"; fi
}

pin_host_key() { # PORT TYPE BODY
  ! describe_configuration "$2" "$3" | grep -q '^pinned ' || return 0
  file=$home/.ssh/known_hosts
  if is_link "$file"; then
    could_not "$file is a link to $(readlink -f "$file"): change it where it comes from"
    return
  fi
  name=$(known_name "$1")
  as_account sh -c '
    umask 077
    mkdir -p "$HOME/.ssh" && : >> "$1" || exit 1
    # ssh-keygen keeps what it took out beside it, and leaves alone what it has nothing to take out of.
    ssh-keygen -R "$2" -f "$1" > /dev/null 2>&1
    cp "$1" "$1.new" && { [ ! -s "$1.new" ] || sed -i -e "\$a\\" "$1.new"; } &&
      printf "%s\n" "$2 $3" >> "$1.new" && sync -f "$1.new" && mv -f "$1.new" "$1"
  ' sh "$file" "$name" "$2 $3"
  if describe_configuration "$2" "$3" | grep -q '^pinned '; then did "the host key of $service is pinned in $file"
  else could_not "ssh as $account does not look for host keys in $file"; fi
}

install_keys() { # PORT TYPE BODY (ACCOUNT COMMENT)..
  port=$1 type=$2 body=$3
  shift 3
  while [ $# -ge 2 ]; do
    if enter_known "$1"; then
      if [ $kind = token ]; then install_token; else install_key "$2"; fi
      install_configuration "$port"
      pin_host_key "$port" "$type" "$body"
    fi
    shift 2
  done
  # The daemon is root, whoever's key it is given.
  read_settings
  if [ -n "$(service_builders)" ] && enter root; then pin_host_key "$port" "$type" "$body"; fi
  echo end
}
