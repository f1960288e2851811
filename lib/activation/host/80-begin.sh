# Starting a transaction: the lock, what was there before, roots for the systems, the supervisor and its guard.

auto_roots=/nix/var/nix/gcroots/auto

# Roots are links through /run (those of a deployment that reboots through /var): a power cut makes them lead nowhere.
# The next deployment or collection clears them.
add_roots() {
  mkdir -p "$here/roots" "$auto_roots"
  for root in "$auto_roots"/deploy-*; do
    [ -e "$root" ] || rm -f "$root"
  done
  find "$run_directory" -maxdepth 1 -name '.void-*' -mmin +60 -exec rm -f {} +
  sweep_lasting
  roots=$(cd "$here/roots" && pwd -P)
  for root in old new toplevel old_profile; do
    eval "target=\$$root"
    [ -n "$target" ] || continue
    ln -s "$target" "$roots/$root"
    ln -sfn "$roots/$root" "$auto_roots/deploy-$id-$root"
  done
}

refuse() { # WORD REASON
  echo "refused $1 $(plain "$2")"
  [ "$1" = locked ] || forget "$id"
  rm -rf "$here"
  exit 0
}

# A transient service of its own, started again without end as long as its program is there: it outlives the login, its memory is the last to be taken, and the emergency mode that
# a broken file system of the new configuration leads to doesn't stop it, as it stops whatever needs sysinit.target.
start_unit() { # UNIT VERB
  systemd-run --quiet --collect --unit="$1" --service-type=exec --description="deployment $id" \
    --property=DefaultDependencies=no --property=Conflicts=shutdown.target --property=Before=shutdown.target \
    --property=OOMPolicy=continue --property=OOMScoreAdjust=-1000 --property=Restart=on-failure --property=RestartSec=200ms \
    --property=StartLimitIntervalSec=0 \
    --setenv=DEPLOY_TOOLS="$old" -- /bin/sh -c '[ ! -e "$0" ] || exec /bin/sh "$0" "$@"' "$here/program" "$2" "$id"
}

start_supervisor() {
  if [ "$mode" = reboot ]; then systemctl start "$(unit_of "$id")"; else start_unit "$(unit_of "$id")" supervise; fi
}

begin() { # ID; the request and this program are in its directory
  id=$1
  here=$run_directory/$id
  . "$here/request"
  consists_of "$assignment" "$(cat "$here/request")" || refuse failed "the request can't be read back"
  enter_mutex || refuse locked "somebody else, who is just beginning,"
  take_lock "$id" || { holder=$(lock_holder); refuse locked "$(describe_lock | sed -n 's/^lock-holder //p')"; }
  old=$(running_system)
  old_boot=$(boot_default)
  old_profile=$(profile_system)
  old_profile_link=$(profile_generation_link)
  [ "$old" = "$expected_running" ] || refuse changed "the host switched to $old since it was looked at"
  for system in "$new" "$toplevel"; do
    [ -x "$system/bin/switch-to-configuration" ] || refuse missing "$system is not a NixOS system on this host"
  done
  reserve_room || refuse failed "/run has no room"
  : > "$here/log"
  reboot_reason=
  [ "$mode" != switch ] || [ "$reboot" != when-needed ] || reboot_reason=$(why_reboot)
  if [ "$mode" != boot ] && [ "$old" != "$new" ] && [ -z "$reboot_reason" ] && ! pre_switch_check "$new"; then
    if [ "$mode" = switch ] && [ "$reboot" = when-needed ]; then reboot_reason="its pre-switch checks refuse a live switch"
    else
      sed 's/^/log /' "$here/log"
      refuse inhibited "its pre-switch checks refuse a live switch"
    fi
  fi
  [ -z "$reboot_reason" ] || prepare_reboot
  {
    echo "old=$old"
    echo "old_boot=$old_boot"
    echo "old_profile=$old_profile"
    echo "old_profile_link=$old_profile_link"
    echo "began_in=$(boot_id)"
    echo "present_boot=${present_boot:-}"
    echo "present_profile=${present_profile:-}"
    echo "present_link=${present_link:-}"
  } > "$here/before"
  ls -1 "${system_profile%/*}" > "$here/profiles"
  snapshot_units "$here/units"
  add_roots
  # Before there is a state: whoever acts on one has to be able to open it, also where nothing can be written any more.
  touch "$here/actor" 2> /dev/null || refuse failed "$here could not be written"
  state=ready
  set_state ready
  start_supervisor && start_unit "$(guard_of "$id")" guard || {
    systemctl stop "$(unit_of "$id")" "$(guard_of "$id")" 2> /dev/null
    refuse failed "systemd could not start the supervisor"
  }
  touch "$here/guarded"
  leave_mutex
  echo "begun $id"
  follow "$id" 0 "$(boot_id)"
}

# Tells state, log lines and result until something is expected of the control machine or it is over.
follow() { # ID LINES-SEEN BOOT-ID
  lines=$2
  told=
  turn=0
  never_begin "$1" "$3"
  wait_for_beginning "$1"
  load "$1"
  while :; do
    act_if_nobody_does "$1"
    if load_state; then
      total=$(wc -l < "$here/log" 2> /dev/null || echo "$lines")
      # It was cut (limit_log).
      [ "$total" -ge "$lines" ] || lines=0
      if [ "$total" -gt "$lines" ]; then
        sed -n "$((lines + 1)),${total}p" "$here/log" 2> /dev/null | sed 's/^/log /'
        lines=$total
      fi
      if [ "$state" != "$told" ]; then echo "state $state $reason"; told=$state; fi
      if [ "$state" = awaiting ]; then
        deadline=$(number_in "$here/deadline")
        echo "remaining $((${deadline:-0} - $(uptime_cs)))"
        return
      fi
    elif [ ! -e "$run_directory/$1/guarded" ]; then
      result_of "$1"
      return
    fi
    sleep 0.1
  done
}

# The result of a deployment that is over.
result_of() { # ID
  if has_result "$1"; then cat "$run_directory/result"
  else
    echo "result unknown"
    echo "boot-id $(boot_id)"
    echo "running $(running_system)"
    echo "profile $(profile_system)"
    echo "boot $(boot_default)"
  fi
}

# A beginning that was sent and has not arrived must not arrive any more (beginInput looks for this after it made the
# directory): whoever asks is told that nothing was begun. After a reboot nothing of before can arrive.
never_begin() { # ID BOOT-ID
  [ ! -e "$run_directory/$1" ] && [ "$2" = "$(boot_id)" ] && ! has_result "$1" || return 0
  mkdir -p -m 700 "$run_directory"
  : > "$run_directory/.void-$1"
}

# A deployment whose beginning is under way has a directory and no state yet.
wait_for_beginning() { # ID
  turn=0
  while [ -d "$run_directory/$1" ] && [ ! -e "$run_directory/$1/state" ] && [ $turn -lt 1000 ]; do
    sleep 0.1
    turn=$((turn + 1))
  done
  # Slower than anybody waits for: it goes no further when it gets there.
  if [ -d "$run_directory/$1" ] && [ ! -e "$run_directory/$1/state" ] && [ ! -e "$run_directory/$1/guarded" ]; then
    here=$run_directory/$1
    give_verdict abort "contact was lost while it was beginning"
  fi
  turn=0
}

# Both units were killed for good: whoever waits for the end brings it about.
act_if_nobody_does() { # ID
  turn=$((turn + 1))
  [ $((turn % 50)) -ne 0 ] || is_alive "$1" || (supervise "$1") > /dev/null 2>&1
}

# Waits until a verdict has been carried out.
wait_for_result() { # ID
  here=$run_directory/$1
  turn=0
  while load_state || [ -e "$here/guarded" ]; do
    act_if_nobody_does "$1"
    sleep 0.1
  done
  result_of "$1"
}

# The nonce comes on standard input, before this program.
confirm() { # ID
  if load "$1"; then
    [ "${given_nonce:-}" = "$nonce" ] || { echo "refused nonce this is not the deployment that was begun"; exit 0; }
    give_verdict confirm
  fi
  wait_for_result "$1"
}

abort() { # ID REASON BOOT-ID
  never_begin "$1" "$3"
  wait_for_beginning "$1"
  if load "$1"; then give_verdict abort "$(plain "$2")"; fi
  wait_for_result "$1"
}

# A line whenever the health of the units changes, and one every 5 s, until standard input ends; `over` when nothing
# is awaited any more.
watch() { # ID
  load "$1" || { echo over; exit 0; }
  # A switch has left one; after a boot nobody has.
  [ -e "$here/units-after" ] || units > "$here/units-after"
  exec 3<&0
  cat <&3 > /dev/null &
  reader=$!
  trap 'kill "$reader" 2> /dev/null' EXIT
  beat=0
  previous=-
  signs=-
  while load_state && [ "$state" = awaiting ]; do
    kill -0 "$reader" 2> /dev/null || exit 0
    signs_now=$(unit_signs)
    if [ "$signs_now" != "$signs" ] || [ $((beat % 3)) = 0 ]; then
      signs=$signs_now
      listed=$(units)
    fi
    if [ -z "$listed" ]; then signs=-; sleep 1; continue; fi
    problems=$({ unfinished_boot; printf '%s\n' "$listed" | unit_problems "$here/units" "$here/units-after"; } | head -n 20)
    if [ "$problems" != "$previous" ] || [ $((beat % 5)) = 0 ]; then
      printf '%s\n' "$problems" | sed '/^$/d; s/^/unit /'
      echo "units $(printf '%s\n' "$problems" | sed '/^$/d' | wc -l)"
      previous=$problems
    fi
    beat=$((beat + 1))
    sleep 1
  done
  echo over
  exit 0
}
