# A key is changed in steps, each of which can be done twice: nixbuild.next is the key to come, nixbuild.old the one that
# went. Whatever is there says how far it got.

# What was cut off in being written has no public half.
is_proven() { # FILE
  case $(public_of "$1") in ssh-ed25519\ *) return 0 ;; esac
  return 1
}

body_of() { public_of "$1" | cut -d ' ' -f 2; } # FILE

# Afterwards the key to come can be used, or the one in place is it already: nixbuild.old is another one then.
make_next() { # ACCOUNT COMMENT
  enter_known "$1" || return 0
  [ -e "$key" ] && [ ! -L "$key" ] || { could_not "$key is not a key that can be changed here"; return; }
  is_proven "$key.next" || as_account rm -f "$key.next" "$key.next.pub"
  if [ -e "$key.old" ] && ! is_proven "$key.old"; then
    as_account rm -f "$key.old"
    did "$key.old was no usable key any more: the account may know it still"
  fi
  name_old
  if [ -e "$key.next" ] || { [ -e "$key.old" ] && [ "$(body_of "$key.old")" != "$(body_of "$key")" ]; }; then
    did 'a rotation that was interrupted goes on'
  else
    make_key "$key.next" "$2" || could_not 'no new key could be made'
  fi
}

# Left where putting the old key back was interrupted: a rename onto the same file does nothing.
drop_second_name() { [ ! "$key.next" -ef "$key" ] || as_account rm -f "$key.next"; }

# A connection that is being made at the moment of a rename has read the public half of one key, and reads the private half
# of the other: it goes on with the next key, so nixbuild.old has to be named to whoever uses this one. Where a
# configuration doesn't do that by itself, a block does as long as the key is being changed. It is there before the key is
# registered, which takes longer than ssh needs from its configuration to its login; a file that isn't there yet is no harm.
name_old() {
  read_settings
  # A builder's line may name the key of any account, and the service by any name: root's ssh connects.
  set -f
  if [ "$account" = root ]; then name_old_to root "$service" $(daemon_places)
  else
    name_old_to "$account" "$service"
    name_old_to root "$service" $(daemon_places)
  fi
  set +f
}

# What the daemon calls the service; with a plus sign where it is given this key.
daemon_places() {
  service_builders | while read -r line; do
    words=$(hook_words "$line")
    place=$(printf '%s\n' "$words" | tail -n 1 | sed 's/.*@//')
    case $words in "$key
-i
"*) echo "+$place" ;; *) echo "$place" ;; esac
  done | sort -u
}

# In a shell of its own: it enters another account.
name_old_to() ( # ACCOUNT PLACE..
  changing=$account used=$key old=$key.old
  enter "$1" || return 0
  shift
  block='' lacking=''
  for place; do
    read_identities=$(as_account ssh -G "${place#+}" 2> /dev/null | identities)
    [ -n "$read_identities" ] || continue
    case "$place
$read_identities
" in +* | *"
identity $used
"*) ;; *) continue ;; esac
    case "
$read_identities
" in *"
identity $old
"*) ;; *) lacking=yes ;; esac
    # With those that are read already, in their order: this comes in front of them.
    block="${block}Host ${place#+}
$(printf '%s\n' "$read_identities" "identity $old" | sed 's/^identity \(.*\)/  IdentityFile "\1"/')
"
  done
  [ -n "$lacking" ] || return 0
  why='is a link'
  if is_link "$home/.ssh/config" || {
    why='can not be changed'
    ! write_configuration "${block%?}" 'change' 2> /dev/null
  }; then
    file=$home/.ssh/config account=$changing
    did "$file $why, and does not name $old: a connection that is made at the moment of the change may fail"
  fi
)

unname_old() {
  unname_here
  unnamed=$?
  (
    changing=$account
    enter root && unname_here
  ) && return $unnamed
}

unname_here() {
  drop_configuration 'change' && return
  file=$home/.ssh/config account=${changing:-$account}
  could_not "$file has a block that is to go: has each line \`$begins change\` in it its \`$ends change\`?"
  return 1
}

# At no moment is there no key: one rename puts the new one into the place of the old.
swap() { # ACCOUNT
  enter_known "$1" || return 0
  drop_second_name
  [ ! -e "$key.next" ] || is_proven "$key.next" || { could_not "$key.next is no usable key"; return; }
  as_account sh -c '
    if [ -e "$1.next" ]; then
      [ -e "$1.old" ] || ln "$1" "$1.old" || exit 1
      # ssh takes the public half from its own file, if there is one: it may not be that of the other key.
      rm -f "$1.pub" && sync -f "$1" && mv -f "$1.next" "$1" || exit 1
    fi
    rm -f "$1.next.pub" && sync -f "$1"
  ' sh "$key" || could_not 'the new key could not be put into its place'
  write_public_half
}

# Of the key that is in place, whichever that is. ssh does without one.
write_public_half() {
  as_account sh -c '
    { ssh-keygen -y -P "" -f "$1" > "$1.pub.new" && mv -f "$1.pub.new" "$1.pub"; } 2> /dev/null || rm -f "$1.pub.new"
  ' sh "$key"
}

# The old key again; the new one waits for another try. nixbuild.old stays as well, as it does in a change.
swap_back() { # ACCOUNT
  enter_known "$1" || return 0
  drop_second_name
  as_account sh -c '
    [ -e "$1.old" ] && [ ! -e "$1.next" ] || exit 0
    rm -f "$1.back" && ln "$1.old" "$1.back" && ln "$1" "$1.next" && rm -f "$1.pub" && mv -f "$1.back" "$1" && sync -f "$1"
  ' sh "$key" || could_not 'the old key could not be put back'
  write_public_half
}

drop_old() { # ACCOUNT
  enter_known "$1" || return 0
  # First: as long as nixbuild.old is there, the same command goes on.
  unname_old || return 0
  # On the disk, too: the next rotation would take it for the rest of one that was interrupted.
  as_account sh -c 'rm -f "$1.back" "$1.old" && sync -f "${1%/*}"' sh "$key" || could_not "$key.old could not be deleted"
}

# The key goes, and what was written for it.
forget() { # ACCOUNT
  enter_known "$1" || return 0
  if [ $kind = token ]; then
    if [ -e "$key" ]; then rm -f "$key" && did "token deleted: $key"; fi
    forget_configuration
    return
  fi
  if [ -L "$key" ]; then could_not "$key is a link to $(readlink -f "$key"): take it away where it comes from"; return; fi
  set -- "$key" "$key.pub" "$key.next" "$key.next.pub" "$key.old" "$key.back"
  for file in $(unusable_suffixes); do set -- "$@" "$key$file" "$key$file.pub"; done
  if as_account sh -c 'rm -f "$@" && sync -f "${1%/*}"' sh "$@"; then
    did "key deleted: $key"
    rm -f "$accepted_directory/$account"
    rmdir "$accepted_directory" 2> /dev/null
  else
    could_not "$key could not be deleted"
  fi
  forget_configuration
}

forget_configuration() {
  drop_configuration || could_not "the block for $service is still in $home/.ssh/config"
  unname_old
}

# The public halves of all that is there.
publics() { # ACCOUNT..
  for one; do
    echo "account $one"
    enter "$one" || continue
    for suffix in - .next .old $(unusable_suffixes); do
      public=$(public_of "$key${suffix#-}")
      case $suffix=$public in .unusable*=) public=$(locked_public_of "$key$suffix") ;; esac
      [ -z "$public" ] || echo "public $suffix $(plain "$public")"
    done
  done
  echo end
}
