# A key is changed in steps, each of which can be done twice: nixbuild.next is the key to come, nixbuild.old the one that
# went. Whatever is there says how far it got.

# The file is there, with its public half.
make_next() { # ACCOUNT COMMENT
  enter "$1" || exit 1
  [ -e "$key" ] && [ ! -L "$key" ] || { could_not "$key is not a key that can be changed here"; return; }
  [ ! -e "$key.old" ] || { did 'a rotation that was interrupted goes on'; return; }
  if [ -e "$key.next" ]; then did 'a rotation that was interrupted goes on'; else make_key "$key.next" "$2"; fi
}

# At no moment is there no key: one rename puts the new one into the place of the old.
swap() { # ACCOUNT
  enter "$1" || exit 1
  as_account sh -c '
    if [ -e "$1.next" ]; then
      [ -e "$1.old" ] || ln "$1" "$1.old" || exit 1
      # ssh takes the public half from its own file, if there is one: it may not be that of the other key.
      rm -f "$1.pub" && sync -f "$1" && mv -f "$1.next" "$1" || exit 1
    fi
    [ ! -e "$1.next.pub" ] || mv -f "$1.next.pub" "$1.pub"
    sync -f "$1"
  ' sh "$key" || could_not 'the new key could not be put into its place'
}

# The old key again; the new one waits for another try.
swap_back() { # ACCOUNT
  enter "$1" || exit 1
  as_account sh -c '
    [ -e "$1.old" ] && [ ! -e "$1.next" ] || exit 0
    ln "$1" "$1.next" && rm -f "$1.pub" && mv -f "$1.old" "$1" && sync -f "$1"
  ' sh "$key" || could_not 'the old key could not be put back'
}

drop_old() { # ACCOUNT
  enter "$1" || exit 1
  as_account rm -f "$key.old"
}

# The key goes, and what was written for it.
forget() { # ACCOUNT
  enter "$1" || exit 1
  if [ -L "$key" ]; then could_not "$key is a link to $(readlink -f "$key"): take it away where it comes from"; return; fi
  as_account rm -f "$key" "$key.pub" "$key.next" "$key.next.pub" "$key.old"
  if grep -qxF "$begins" "$home/.ssh/config" 2> /dev/null && ! is_link "$home/.ssh/config"; then write_configuration ''; fi
  did "key deleted: $key"
}

# The public halves of all that is there.
publics() { # ACCOUNT..
  for one; do
    echo "account $one"
    enter "$one" || continue
    for suffix in '' .next .old; do
      public=$(public_of "$key$suffix")
      [ -z "$public" ] || echo "public${suffix:-.now} $(plain "$public")"
    done
  done
  echo end
}
