# A key is changed in steps, each of which can be done twice: nixbuild.next is the key to come, nixbuild.old the one that
# went. Whatever is there says how far it got.

# What was cut off in being written has no public half.
is_proven() { # FILE
  case $(public_of "$1") in ssh-ed25519\ *) return 0 ;; esac
  return 1
}

# Afterwards the key to come can be used, or the one in place is it already: nixbuild.old is another one then.
make_next() { # ACCOUNT COMMENT
  enter_known "$1" || return 0
  [ -e "$key" ] && [ ! -L "$key" ] || { could_not "$key is not a key that can be changed here"; return; }
  is_proven "$key.next" || as_account rm -f "$key.next" "$key.next.pub"
  if [ -e "$key.old" ] && ! is_proven "$key.old"; then
    as_account rm -f "$key.old"
    did "$key.old was no usable key any more: the account may know it still"
  fi
  if [ -e "$key.next" ] || { [ -e "$key.old" ] && [ ! "$key.old" -ef "$key" ]; }; then
    did 'a rotation that was interrupted goes on'
  else
    make_key "$key.next" "$2" || could_not 'no new key could be made'
  fi
}

# Left where putting the old key back was interrupted: a rename onto the same file does nothing.
drop_second_name() { [ ! "$key.next" -ef "$key" ] || as_account rm -f "$key.next"; }

# A connection that is being made at the moment of a rename has read the public half of one key, and reads the private half
# of the other: it goes on with the next key, so nixbuild.old has to be named to whoever uses this one. Where a
# configuration doesn't do that by itself, a block does as long as the key is being changed.
name_old() {
  read_settings
  # A builder's line may name the key of any account, and the service by any name: root's ssh connects.
  set -f
  if [ "$account" = root ]; then name_old_to root "$service" $(daemon_places)
  else name_old_to "$account" "$service" && name_old_to root $(daemon_places); fi
  named=$?
  set +f
  return $named
}

# What the daemon calls the service, where it is given this key.
daemon_places() {
  service_builders | while read -r line; do
    words=$(hook_words "$line")
    case $words in "$key
-i
"*) printf '%s\n' "$words" | tail -n 1 | sed 's/.*@//' ;; esac
  done | sort -u
}

# In a shell of its own: it enters another account.
name_old_to() ( # ACCOUNT PLACE..
  changing=$account old=$key.old
  enter "$1" || return 0
  shift
  block=
  for place; do
    read_identities=$(as_account ssh -G "$place" 2> /dev/null | identities)
    case "$read_identities
" in '
' | *"identity $old
"*) continue ;; esac
    # With those that are read already, in their order: this comes in front of them.
    block="${block}Host $place
$(printf '%s\n' "$read_identities" "identity $old" | sed 's/^identity \(.*\)/  IdentityFile "\1"/')
"
  done
  [ -n "$block" ] || return 0
  if is_link "$home/.ssh/config"; then
    account=$changing
    did "$home/.ssh/config is a link, and does not name $old: a connection that is made at the moment of the change may fail"
  elif ! write_configuration "${block%?}" 'change'; then
    account=$changing
    could_not "$home/.ssh/config could not be changed: does each line \`$begins\` in it have its \`$ends\`?"
    return 1
  fi
)

unname_old() {
  drop_configuration 'change'
  (enter root && drop_configuration 'change')
}

# At no moment is there no key: one rename puts the new one into the place of the old.
swap() { # ACCOUNT
  enter_known "$1" || return 0
  drop_second_name
  name_old || return 0
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
  name_old || return 0
  as_account sh -c '
    [ -e "$1.old" ] && [ ! -e "$1.next" ] || exit 0
    rm -f "$1.back" && ln "$1.old" "$1.back" && ln "$1" "$1.next" && rm -f "$1.pub" && mv -f "$1.back" "$1" && sync -f "$1"
  ' sh "$key" || could_not 'the old key could not be put back'
  write_public_half
}

drop_old() { # ACCOUNT
  enter_known "$1" || return 0
  # On the disk, too: the next rotation would take it for the rest of one that was interrupted.
  as_account sh -c 'rm -f "$1" && sync -f "${1%/*}"' sh "$key.old" || could_not "$key.old could not be deleted"
  unname_old
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
  drop_configuration && unname_old || could_not "the block for $service is still in $home/.ssh/config"
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
