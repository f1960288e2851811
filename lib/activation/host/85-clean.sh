# Taking old generations away: first their links, then the boot loader's entries, and only when those are on the disk and
# read back what nothing refers to any more. So at no moment an entry leads to a system that isn't there. It holds the
# lock like a deployment, and a process that died is followed by one that does the rest.

# Which generations something else refers to, and then what is asked before a deployment. Read by
# lib/activation/cleaning.ts.
survey() {
  roots=$(nix-store --gc --print-roots 2> /dev/null) || echo "rooted-unknown yes"
  roots=$(printf '%s\n' "$roots" | awk -v profile="$system_profile-" 'index($0, profile) != 1 { sub(/^.* -> /, ""); print }' | sort -u)
  for system in $(generations | awk '{ print $3 }' | sort -u); do
    ! printf '%s\n' "$roots" | grep -qxF "$system" || echo "rooted $system"
  done
  probe
}

# The bytes that the boot loader's copies take which only these generations need: FILE is hash-name-file.
would_free_of_boot() { # NUMBER..
  directory=$(boot_files_directory)
  [ -n "$directory" ] || return 0
  needed=$(generations | while read -r number _ system; do
    case " $* " in *" $number "*) continue ;; esac
    for file in "$system"/kernel "$system"/initrd "$system"/dtbs "$system"/specialisation/*/kernel "$system"/specialisation/*/initrd "$system"/specialisation/*/dtbs; do
      [ ! -e "$file" ] || readlink -f "$file" | sed 's|^/nix/store/||; s|/|-|g'
    done
  done)
  ls -1 "$directory" | while read -r name; do
    printf '%s\n' "$needed" | grep -qxF "${name%.efi}" || du -sk "$directory/$name"
  done | awk '{ sum += $1 } END { printf "boot-bytes %.0f\n", sum * 1024 }'
}

# The bytes that taking away these generations, and what is garbage already, would free.
would_free() { # NUMBER..
  doomed=
  for number; do doomed="$doomed $system_profile-$number-link"; done
  roots=$(nix-store --gc --print-roots 2> /dev/null) || return 1
  # The roots that stay, and all they refer to; then what only the others refer to.
  staying=$(printf '%s\n' "$roots" | awk -v doomed="$doomed" '
    BEGIN { n = split(doomed, list, " "); for (i = 1; i <= n; i++) goes[list[i]] = 1 }
    { at = index($0, " -> "); if (!(substr($0, 1, at - 1) in goes)) print substr($0, at + 4) }' | sort -u)
  {
    printf '%s\n' "$staying" | xargs nix-store -qR 2> /dev/null | sed 's/^/stays /'
    for number; do readlink "$system_profile-$number-link"; done | xargs -r nix-store -qR 2> /dev/null | sed 's/^/goes /'
    nix-store --gc --print-dead 2> /dev/null | sed 's/^/goes /'
  } | awk '$1 == "stays" { stays[$2] = 1 } $1 == "goes" && !($2 in stays) && !told[$2]++ { print $2 }' |
    xargs -r du -sk 2> /dev/null | awk '{ sum += $1 } END { printf "bytes %.0f\n", sum * 1024 }'
  would_free_of_boot "$@"
  echo "end"
}

begin_clean() { # ID; the request and this program are in its directory
  id=$1
  here=$run_directory/$id
  . "$here/request"
  consists_of "$assignment" "$(cat "$here/request")" || refuse failed "the request can't be read back"
  enter_mutex || refuse locked "somebody else, who is just beginning,"
  take_lock "$id" || refuse locked "$(request_field "$(directory_of "$(lock_holder)")/request" holder_name)"
  old=$(running_system)
  [ "$old $(profile_generation) $(boot_default)" = "$expected" ] || refuse changed "the host was switched since it was looked at"
  {
    echo "old=$old"
    echo "old_boot=$(boot_default)"
    echo "old_profile=$(profile_system)"
    echo "old_profile_link=$(profile_generation_link)"
  } > "$here/before"
  : > "$here/log"
  free_bytes /nix/store > "$here/free"
  state=cleaning
  set_state cleaning
  start_unit "$(unit_of "$id")" supervise || refuse failed "systemd could not start the cleaning"
  leave_mutex
  echo "begun $id"
  follow "$id" 0 "$(boot_id)"
}

# Whether a generation is what runs, was booted, or boots next, itself or by a specialisation.
is_in_use() { # LINK
  [ "${1##*/}" != "$(profile_generation_link)" ] || return 0
  for system in "$1" "$1"/specialisation/*; do
    system=$(target_of "$system") || continue
    case $system in "$(running_system)" | "$(booted_system)" | "$(profile_system)" | "$old_boot" | "$(boot_default)") return 0 ;; esac
  done
  return 1
}

clean_up() {
  doomed=
  for number in $numbers; do
    link=$system_profile-$number-link
    [ -L "$link" ] && ! is_in_use "$link" || continue
    doomed="$doomed $number"
    grep -qs "^$number " "$here/deleted" || echo "$number $(stat -c %Y "$link") $(readlink "$link")" >> "$here/deleted"
  done
  if called_off; then finish_cleaning untouched "called off"; return; fi
  if [ -n "$doomed" ]; then
    touch "$here/boot-touched"
    nix-env -p "$system_profile" --delete-generations $doomed >> "$here/log" 2>&1 || {
      keep_generations "the generations could not be deleted: $(last_words 0)"
      return
    }
    sync_file_system "${system_profile%/*}"
  fi
  if [ -e "$here/boot-touched" ]; then
    loader_system=$old_boot
    [ "$loader_system" != unknown ] || loader_system=$(profile_system)
    logged=$(log_length)
    export NIXOS_NO_CHECK=1
    set_boot_loader "$loader_system"
    short=$(check_boot_files "$loader_system" 2>> "$here/log")
    if [ "$switch_exit" != 0 ]; then
      keep_generations "the boot loader could not be set (exit code $switch_exit): $(last_words "$logged")"
      return
    elif [ -n "$short" ]; then keep_generations "a boot file could not be written: $short"; return
    elif [ "$(boot_default)" != "$old_boot" ]; then
      keep_generations "the boot loader names another system"
      return
    fi
    rm -f "$here/boot-touched"
  fi
  collect_garbage
}

# Without entries that are known to be sound nothing is collected: the links come back, and the systems are all there.
keep_generations() { # REASON
  while read -r number time system; do
    link=$system_profile-$number-link
    [ -L "$link" ] || [ ! -e "$system" ] || { ln -s "$system" "$link" && touch -h -d "@$time" "$link"; }
  done < "$here/deleted"
  next=$(boot_default)
  if [ "$next" = "$old_boot" ]; then finish_cleaning untouched "$1"
  else finish_cleaning needs-hands "$1; the next boot would run $next"; fi
}

# It may take long, and may be given up at any moment. Its memory is the first to be taken.
collect_garbage() {
  setsid /bin/sh -c 'echo 500 > /proc/self/oom_score_adj; exec nix-store --gc' < /dev/null > "$here/collected" 2>&1 8>&- 9>&- &
  collector=$!
  calling_off=
  while kill -0 "$collector" 2> /dev/null; do
    if [ -z "$calling_off" ] && called_off; then
      calling_off=yes
      kill -TERM "-$collector" 2> /dev/null
    fi
    sleep 0.1
  done
  wait "$collector"
  collected=$?
  tail -n 3 "$here/collected" >> "$here/log"
  if [ -n "$calling_off" ]; then finish_cleaning cleaned "called off while it collected garbage"
  elif [ "$collected" != 0 ]; then finish_cleaning cleaned "the garbage collection failed: $(tail -n 1 "$here/collected")"
  else finish_cleaning cleaned; fi
}

finish_cleaning() { # END REASON
  # A collection takes away the file that Nix keeps as a reserve, and the next one who opens the store makes it again.
  nix-store -q --size "$old" > /dev/null 2>&1
  {
    echo "result $1"
    echo "reason $(plain "${2:-}")"
    echo "running $(running_system)"
    echo "profile $(profile_system)"
    echo "generation $(profile_generation)"
    echo "boot $(boot_default)"
    while read -r number _; do [ -L "$system_profile-$number-link" ] || echo "deleted $number"; done 2> /dev/null < "$here/deleted"
    freed=$(($(free_bytes /nix/store) - $(number_in "$here/free")))
    echo "freed $((freed > 0 ? freed : 0))"
    echo "id $id"
  } | write_file "$run_directory/result"
  cat "$here/log"
  forget "$id"
}
