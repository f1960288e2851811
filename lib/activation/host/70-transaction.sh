# The transaction. Its state is one word in a file, written before each step, so that whoever comes after a killed
# process (the supervisor started again by systemd, or the guard) knows what to do:
#   ready -> activating -> awaiting -> confirming -> (end)
#                 \-----------\-----------\--------> rolling-back -> (end)
# Until `confirming` has set the profile and the boot loader, a reboot is itself a rollback. A deployment that needs a
# reboot goes another way (65-reboot.sh).

# A line of the request, its value as lib/machine/command.ts quotes it.
assignment="[a-z_]+='([^']|'\\\\'')*'"

# Read by cat and eval: in some shells `.` of a file that just went away ends everything.
load() { # ID
  id=$1
  here=$run_directory/$id
  [ -e "$here" ] || take_up "$id"
  damaged= began_in=
  { request=$(cat "$here/request"); } 2> /dev/null
  consists_of "$assignment" "$request" && eval "$request" &&
    are_set nonce mode new toplevel switch_seconds confirm_seconds reboot_seconds record || request_from_roots || return 1
  { before=$(cat "$here/before"); } 2> /dev/null
  consists_of '[a-z_]+=[A-Za-z0-9/._+=?-]*' "$before" && eval "$before" && are_set old old_boot old_profile old_profile_link ||
    before_from_roots || return 1
  [ ! -L "$here" ] || mode=reboot
  load_state || return 1
  # Nothing is made permanent of what isn't known for certain.
  [ -z "$damaged" ] || [ "$state" = rolling-back ] || state=damaged
}

consists_of() { # EXTENDED-REGULAR-EXPRESSION-OF-A-LINE TEXT
  [ -n "$2" ] && ! printf '%s\n' "$2" | grep -aEqv "^$1\$"
}

are_set() { # NAME..
  for name; do eval "[ -n \"\${$name+set}\" ]" || return 1; done
}

# The links that keep the systems from the garbage collector tell enough to go back.
request_from_roots() {
  damaged=yes mode=switch nonce= switch_seconds=300 confirm_seconds=60 reboot_seconds=300 record="\"id\":\"$id\""
  new=$(readlink "$here/roots/new") && toplevel=$(readlink "$here/roots/toplevel")
}
before_from_roots() {
  damaged=yes
  [ ! -e "$here/made-generation" ] && [ ! -e "$here/boot-touched" ] && old=$(readlink "$here/roots/old") || return 1
  old_boot=$(boot_default)
  old_profile=$(profile_system)
  old_profile_link=$(profile_generation_link)
}

# False when the deployment is over.
load_state() { read_state "$here"; }

set_state() { # STATE REASON
  state=$1
  reason=${2:-}
  if [ "$mode" != reboot ]; then echo "$state $reason" | write_file "$here/state"; return; fi
  # It has to be there, and whole, after a power cut.
  echo "$state $reason" > "$here/state.new" && sync_file_system "$here/state.new" && mv -f "$here/state.new" "$here/state"
  sync_file_system "$here"
}

# Notes what is about to be done, where whoever comes next finds it. False when that can't be written.
note() { # NAME
  [ -e "$here/$1" ] || touch "$here/$1" || return 1
  [ "$mode" != reboot ] || sync_file_system "$here"
}

# The verdict can be given once: by the confirmation, by somebody who calls the deployment off, or by the clock.
give_verdict() { # WORD REASON
  # A full /run takes the name of a file and not what is in it.
  { echo "$1 ${2:-}" > "$here/verdict.$$" || { free_reserve && echo "$1 ${2:-}" > "$here/verdict.$$"; }; } &&
    ln "$here/verdict.$$" "$here/verdict" 2> /dev/null
  given=$?
  rm -f "$here/verdict.$$"
  return $given
}

called_off() {
  read -r word _ 2> /dev/null < "$here/verdict" && [ "$word" = abort ]
}

# What can't be loaded is over, and only has to be cleared away; or its records don't even tell what it had changed.
end_unread() { # ID
  if [ -e "$here/state" ]; then
    {
      echo "result needs-hands"
      echo "reason its records on the host are damaged, and do not tell what it had changed"
      echo "running $(running_system)"
      echo "profile $(profile_system)"
      echo "generation $(profile_generation)"
      echo "boot $(boot_default)"
      echo "id $1"
    } | write_file "$run_directory/result"
    forget "$1"
  elif [ -e "$here/guarded" ]; then forget "$1"
  # A power cut came before it had a state: nothing was changed. Whoever is just beginning holds the mutex.
  elif [ -d "$pending_directory/$1" ] && flock -n "$run_directory/mutex" true; then forget "$1"; fi
}

# The one who acts holds this lock: the supervisor, or the guard when the supervisor is gone. It is opened for reading, as
# its file system may have become read-only.
open_actor() { touch "$here/actor" 2> /dev/null; exec 8< "$here/actor"; }
become_actor() { open_actor; flock 8; }

supervise() { # ID
  [ -d "$(directory_of "$1")" ] || exit 0
  load "$1" || { end_unread "$1"; exit 0; }
  become_actor
  load "$1" || { end_unread "$1"; exit 0; }
  if has_result "$id"; then
    [ "$mode" != clean ] || { forget "$id"; return; }
    outcome=$(sed -n 's/^result //p' "$run_directory/result")
    why=$(sed -n 's/^reason //p' "$run_directory/result")
    conclude
    return
  fi
  case $mode in
    reboot) supervise_reboot; return ;;
    clean) clean_up; return ;;
  esac
  case $state in
    ready) activate ;;
    activating)
      [ ! -e "$here/jobs" ] || cancel_jobs_since "$here/jobs"
      roll_back "the process that watched the switch was killed"
      ;;
    awaiting) await ;;
    confirming) confirm_system ;;
    rolling-back) roll_back "$reason" ;;
    *) roll_back "its records on the host were damaged" ;;
  esac
}

guard() { # ID
  load "$1" || exit 0
  open_actor
  # A supervisor that takes longer hangs, or waits for one that does. Ending it is safe: whoever acts next reads the state.
  patience=$((3 * switch_seconds + confirm_seconds + 300))
  [ "$mode" != reboot ] || patience=$((patience + 2 * reboot_seconds))
  flock -w "$patience" 8 || systemctl kill --signal=KILL "$(unit_of "$id")"
  flock 8
  [ -d "$here" ] || exit 0
  systemctl stop "$(unit_of "$id")" 2> /dev/null
  exec 8>&-
  supervise "$1"
}

activate() {
  # Nothing is touched before the guard is there.
  waited=0
  while [ ! -e "$here/guarded" ]; do
    if [ $waited -ge 100 ]; then
      if touch "$here/actor" 2> /dev/null; then finish untouched "the guard did not start"
      else finish untouched "its records on the host could not be written"; fi
      return
    fi
    sleep 0.1
    waited=$((waited + 1))
  done
  if called_off; then read -r _ why < "$here/verdict"; finish untouched "$why"; return; fi
  switch_is_free 10 || { finish untouched "another switch-to-configuration runs on the host"; return; }
  if called_off; then read -r _ why < "$here/verdict"; finish untouched "$why"; return; fi
  case $mode in
    boot) confirm_system; return ;;
    reboot) stage_reboot; return ;;
  esac
  set_state activating
  switch_exit=0
  if [ "$(running_system)" != "$new" ]; then
    note switched || { finish untouched "its records on the host could not be written"; return; }
    run_switch "$new" test $((switch_seconds * 100))
  fi
  case $switch_exit in
    0 | 4) ;;
    2) roll_back "the activation script failed"; return ;;
    100) advice=reboot; roll_back "this system can only be activated by a reboot"; return ;;
    124) advice=time; roll_back "the switch took longer than $switch_seconds s"; return ;;
    125) read -r _ why < "$here/verdict"; roll_back "$why"; return ;;
    *) roll_back "switch-to-configuration failed with exit code $switch_exit"; return ;;
  esac
  if [ "$(running_system)" != "$new" ] || failed_to_activate 0; then
    roll_back "the activation script failed"
    return
  fi
  units > "$here/units-after"
  echo $(($(uptime_cs) + confirm_seconds * 100)) | write_file "$here/deadline"
  set_state awaiting
  await
}

await() {
  deadline=$(number_in "$here/deadline")
  while [ ! -e "$here/verdict" ]; do
    if [ "$(uptime_cs)" -ge "${deadline:-0}" ]; then
      late="nobody confirmed within $confirm_seconds s"
      # Even where /run is so full that no verdict can be written.
      give_verdict timeout "$late" || [ -e "$here/verdict" ] || { roll_back "$late"; return; }
    fi
    sleep 0.1
  done
  word= why=
  read -r word why 2> /dev/null < "$here/verdict"
  if [ "$word" = confirm ]; then confirm_system; else roll_back "$why"; fi
}

confirm_system() {
  [ "$mode" = boot ] || { still_ours "$new" || return; }
  if [ "$mode" = test ]; then finish tested; return; fi
  free_reserve
  ! has_rebooted || await_boot_mounts || { roll_back "$missing_mount, where the boot loader is, is not mounted"; return; }
  set_state confirming
  make_permanent || return
  if [ "$mode" = boot ]; then finish staged; else finish deployed; fi
}

# Makes the new system the one that boots: closure, profile, boot loader, each written back before the next. False when
# that failed and the way back was gone.
make_permanent() {
  set_new_profile || return 1
  logged=$(log_length)
  note boot-touched || { roll_back "its records on the host could not be written"; return 1; }
  set_boot_loader "$toplevel"
  [ "$switch_exit" = 0 ] || {
    roll_back "the boot loader could not be set (exit code $switch_exit): $(last_words "$logged")"
    return 1
  }
  short=$(check_boot_files "$toplevel" 2>> "$here/log")
  [ -z "$short" ] || { roll_back "a boot file could not be written: $short"; return 1; }
  next=$(boot_default)
  if [ "$next" != "$toplevel" ] && [ "$next" != unknown ]; then
    roll_back "the boot loader did not take the new system: the next boot would run $next"
    return 1
  fi
  [ "$(profile_system)" = "$toplevel" ] || { roll_back "the profile does not hold the new system"; return 1; }
}

# The new system's closure is on the disk, and it is a generation. False as above.
set_new_profile() {
  sync_file_system /nix/store
  [ "$(profile_system)" != "$toplevel" ] || return 0
  note made-generation || { roll_back "its records on the host could not be written"; return 1; }
  logged=$(log_length)
  set_profile "$toplevel" >> "$here/log" 2>&1 || { roll_back "the profile could not be set: $(last_words "$logged")"; return 1; }
  profile_generation_link > "$here/made-generation"
  sync_file_system "${system_profile%/*}"
}

# Sets switch_exit.
set_boot_loader() { # TOPLEVEL
  clear_boot_leftovers "$here/boot-files"
  [ -e "$here/boot-files" ] || boot_files > "$here/boot-files"
  write_boot_files_ahead "$1" 2>> "$here/log"
  export NIXOS_INSTALL_BOOTLOADER=0
  run_switch "$1" boot $((switch_seconds * 100))
  unset NIXOS_INSTALL_BOOTLOADER
  clear_boot_leftovers "$here/boot-files"
  [ ! -d /boot ] || sync_file_system /boot
}

# Exit code 4 hides a failed activation script (switch-to-configuration overwrites the 2).
failed_to_activate() { # LINES-OF-THE-LOG-BEFORE-IT
  tail -n "+$(($1 + 1))" "$here/log" | grep -q 'Failed to run activate script'
}

log_length() { wc -l < "$here/log"; }

# What a command that failed printed last: nobody follows the log any more while a confirmation is carried out.
last_words() { # LINES-OF-THE-LOG-BEFORE-IT
  tail -n "+$(($1 + 1))" "$here/log" | sed '/^exit [0-9]*$/d; /switch-to-configuration boot$/d' |
    tail -n 2 | sed '$!s/$/;/' | tr '\n' ' ' | sed 's/ *$//'
}

# True when the running system is the one given. Otherwise somebody else switched meanwhile: it is theirs now.
still_ours() { # SYSTEM
  now=$(running_system)
  [ "$now" = "$1" ] && return 0
  finish left-alone "somebody else switched to $now meanwhile"
  return 1
}

# Back to exactly the system that ran before, by its path: never by a generation's number.
roll_back() { # REASON
  why=$1
  switch_exit=0
  free_reserve
  # Somebody may have taken it away: the switch back writes its log there.
  [ -d "$here" ] || mkdir -p -m 700 "$here"
  if [ "$state" != rolling-back ]; then set_state rolling-back "$why"; fi
  echo "rolling back: $why" >> "$here/log"
  [ "$mode" != reboot ] || prepare_way_back || {
    # The default is the old system still, whose boot can put the rest back.
    if [ -n "$(once)" ] && [ "$(cat "$here/returns" 2> /dev/null | wc -l)" -lt 3 ]; then
      echo . >> "$here/returns"
      set_state returning "$why"
      restart_host
      return
    fi
    finish needs-hands "$why; and it can't go back, because $missing_mount, where its boot loader is, is not mounted"
    return
  }
  now=$(running_system)
  # What was booted since is for boot_back.
  if [ "$now" != "$new" ] && [ "$now" != "$old" ] && ! { has_rebooted && [ "$now" = "$(booted_system)" ]; }; then
    finish left-alone "somebody else switched to $now meanwhile"
    return
  fi
  if [ "$mode" != reboot ] && has_switched; then
    note switched
    switch_is_free "$switch_seconds"
    filter_switch_lists "$old"
    logged=$(log_length)
    export NIXOS_NO_CHECK=1
    run_switch "$old" test $((switch_seconds * 100))
    unset NIXOS_NO_CHECK
    ! failed_to_activate "$logged" || switch_exit=2
    restore_units "$here/units" >> "$here/log" 2>&1
  fi
  # Only what this deployment changed is put back: a profile that somebody else set meanwhile is theirs.
  theirs=
  made=$(cat "$here/made-generation" 2> /dev/null)
  case $(profile_generation_link) in
    "$old_profile_link" | "$made") ;;
    *) [ -e "$here/made-generation" ] && [ -z "$made" ] || theirs=yes ;;
  esac
  if [ -e "$here/made-generation" ] && [ -z "$theirs" ]; then
    reset_profile "$old_profile_link" "$old_profile" >> "$here/log" 2>&1
  fi
  # A boot loader that nobody touched is better left alone: on a full disk its own script may do harm.
  loader_exit=0
  [ ! -e "$here/boot-touched" ] || put_back_boot_loader
  [ "$mode" != reboot ] || boot_back || return
  conclude_roll_back
}

# The record of it may be gone; what runs can't lie.
has_switched() { [ -e "$here/switched" ] || { [ "$mode" != reboot ] && [ "$(running_system)" != "$old" ]; }; }

# Sets loader_exit. Where the next boot is somebody else's choice by now, it stays so.
put_back_boot_loader() {
  loader_system=$old_boot
  next=$(boot_default)
  if [ -n "$theirs" ]; then
    [ "$next" = "$toplevel" ] || return 0
    loader_system=unknown
  fi
  [ "$loader_system" != unknown ] || loader_system=$(profile_system)
  activation_exit=$switch_exit
  export NIXOS_NO_CHECK=1
  set_boot_loader "${loader_system:-$old}"
  # Before a reboot it has to be right: there may be no other chance.
  if has_rebooted && [ "$(boot_default)" != "$loader_system" ]; then sleep 5; set_boot_loader "${loader_system:-$old}"; fi
  unset NIXOS_NO_CHECK
  loader_exit=$switch_exit
  switch_exit=$activation_exit
  check_boot_files "$loader_system" >> "$here/log" 2>&1
}

# Says what was read back, not what was tried.
conclude_roll_back() {
  now=$(running_system)
  next=$(boot_default)
  [ -z "$theirs" ] || why="$why; somebody else set the profile meanwhile, which is left as it is"
  stays=
  if [ -z "$theirs" ]; then
    at=$(profile_generation_link)
    [ "$at" = "$old_profile_link" ] || stays="the system profile stays at ${at:-nothing}"
    if [ "$next" != "$old_boot" ] || { [ "$next" = unknown ] && [ "$loader_exit" != 0 ]; }; then
      stays="the next boot would run $next"
    fi
  fi
  if [ -n "$stays" ]; then
    finish needs-hands "$why; and going back failed: $stays"
    return
  fi
  if ! has_switched; then
    finish untouched "$why"
    return
  fi
  case $switch_exit in 0 | 4) activated=yes ;; *) activated= ;; esac
  look_what_is_worse
  # A script of the old system that has always failed is no reason to reboot, nor is what passes.
  if [ -n "$final" ] && [ -z "$activated" ]; then sleep 10; look_what_is_worse; fi
  if [ "$now" = "$old" ] && { [ -z "$final" ] || [ -n "$activated" ]; }; then
    finish rolled-back "$why${worse:+; still wrong after going back: $worse}"
  elif [ "$next" = "$old" ] || { [ "$next" = unknown ] && [ "$(profile_system)" = "$old" ]; }; then
    why="$why; the old system could not be activated again${worse:+ ($worse)}"
    worse=
    finish rebooting "$why, so the host reboots into it"
  else
    finish needs-hands "$why; and the old system could not be activated again (exit code $switch_exit)"
  fi
}

# Sets worse, and final when no waiting makes it better. Only of the old system, which the snapshot is of.
look_what_is_worse() {
  worse= final=
  [ "$now" = "$old" ] || return 0
  found=$(units | unit_problems "$here/units" /dev/null)
  case $found in *' final '*) final=yes ;; esac
  worse=$(printf '%s\n' "$found" | sed 's/ final / /; s/ passing / /' | head -n 3 | tr '\n' ',' | sed 's/,*$//; s/,/, /g')
}

profile_generation_link() { readlink "$system_profile" 2> /dev/null || true; }

# The end: the result for whoever asks, a line of history, and nothing else left behind.
finish() { # OUTCOME REASON
  outcome=$1
  free_last_room
  why=$(plain "${2:-}")
  {
    echo "result $outcome"
    echo "reason $why"
    echo "running $(running_system)"
    echo "profile $(profile_system)"
    echo "generation $(profile_generation)"
    echo "boot $(boot_default)"
    [ -z "$advice" ] || echo "advice $advice"
    [ -z "$worse" ] || echo "still-wrong $worse"
    stale_parts "$toplevel" | sed 's/^/not-booted-yet /'
    echo "id $id"
  } | write_file "$run_directory/result"
  conclude
}

has_result() { grep -qx "id $1" "$run_directory/result" 2> /dev/null; } # ID

# What follows the result. Whoever comes after a killed supervisor does it again.
conclude() {
  record_history 2> /dev/null || echo "the history could not be written" >&2
  # The log goes to the journal as well.
  tail -c 1000000 "$here/log"
  echo "$outcome${why:+: $why}"
  [ "$outcome" != rebooting ] || reboot_for_good
  # From here on it is over: whoever comes after a process that was killed only clears away.
  forget "$id"
}

# What a power cut left of a line, or the zeros in its place, doesn't take the next one with it.
end_last_line() { # FILE
  [ ! -s "$1" ] || [ "$(tail -c 1 "$1" | wc -l)" -eq 1 ] || echo >> "$1"
}

record_history() {
  mkdir -p -m 700 "$state_directory/log" || return 1
  ! grep -qs "\"id\":\"$id\"" "$state_directory/history" || return 0
  # A switch may print without end.
  tail -c 1000000 "$here/log" > "$state_directory/log/$id.log"
  ls -1 "$state_directory/log" | sort | head -n -50 | while read -r old_log; do rm -f "$state_directory/log/$old_log"; done
  end_last_line "$state_directory/history"
  printf '{%s,"outcome":"%s","reason":"%s","ended":"%s","bootId":"%s","generation":"%s"}\n' \
    "$record" "$(echo "$outcome" | tr - " ")" "$why" "$(timestamp)" "$(boot_id)" "$(profile_generation)" >> "$state_directory/history" &&
    sync_file_system "$state_directory"
}
