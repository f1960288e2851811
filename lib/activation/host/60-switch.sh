# Runs a system's switch-to-configuration under a time limit, its output in the deployment's log.

# Sets switch_exit to its exit code; 124 when the time was up, 125 when the deployment was called off meanwhile.
run_switch() { # SYSTEM ACTION LIMIT-IN-CENTISECONDS
  rm -f "$here/switch-exit"
  job_ids > "$here/jobs"
  end=$(($(uptime_cs) + $3))
  echo "$1/bin/switch-to-configuration $2" >> "$here/log"
  # A session of its own, so that all of it can be ended at once; none of our descriptors but the log.
  setsid env -u NIX_REMOTE /bin/sh -c '"$0" "$1"; code=$?; echo "$code" > "$2.new" && mv -f "$2.new" "$2"; exit "$code"' "$1/bin/switch-to-configuration" "$2" "$here/switch-exit" \
    < /dev/null >> "$here/log" 2>&1 8>&- 9>&- &
  switch_pid=$!
  switch_exit=
  calling_off=
  while [ ! -e "$here/switch-exit" ]; do
    kill -0 "$switch_pid" 2> /dev/null || break
    # Called off: a switch that is nearly done is better finished than killed.
    if [ -z "$calling_off" ] && [ "$state" = activating ] && called_off; then
      calling_off=125
      [ $(($(uptime_cs) + 1000)) -ge "$end" ] || end=$(($(uptime_cs) + 1000))
    fi
    limit_log
    [ "$(uptime_cs)" -lt "$end" ] || switch_exit=${calling_off:-124}
    if [ -n "$switch_exit" ]; then
      # Without `--` before the group: dash and busybox take it for a number, and would end nothing.
      kill -TERM "-$switch_pid" 2> /dev/null
      waited=0
      while kill -0 "-$switch_pid" 2> /dev/null && [ $waited -lt 30 ]; do sleep 0.1; waited=$((waited + 1)); done
      kill -KILL "-$switch_pid" 2> /dev/null
      cancel_jobs_since "$here/jobs"
      break
    fi
    sleep 0.1
  done
  wait "$switch_pid" 2> /dev/null
  ended=$?
  # Where /run is full, there is no more than how it ended.
  [ -n "$switch_exit" ] || switch_exit=$(cat "$here/switch-exit" 2> /dev/null)
  [ -n "$switch_exit" ] || switch_exit=$ended
  rm -f "$here/switch-exit" "$here/jobs"
  echo "exit $switch_exit" >> "$here/log"
}

# A switch may print without end, and /run is memory. What is appended to a file can be cut off it meanwhile.
limit_log() {
  log_turn=$((${log_turn:-0} + 1))
  [ $((log_turn % 10)) = 0 ] && [ "$(wc -c < "$here/log")" -gt 4000000 ] || return 0
  tail -c 1000000 "$here/log" > "$here/log.end"
  cat "$here/log.end" > "$here/log"
  rm -f "$here/log.end"
}

switch_lock=/run/nixos/switch-to-configuration.lock

# Whoever may read a file may lock it, for as long as he likes: that is root's alone from here on.
keep_switch_lock() { mkdir -p "${switch_lock%/*}" && (umask 077; : >> "$switch_lock") && chmod 600 "$switch_lock"; }

# True when no other switch runs on the host, or as soon as it is over. Newer releases refuse to wait themselves.
switch_is_free() { # SECONDS
  keep_switch_lock
  flock -w "$1" "$switch_lock" true
}

# The lists of units that an interrupted switch still had to start, restart or reload: the next switch reads them.
# Kept are those that the system we go back to has.
filter_switch_lists() { # SYSTEM
  for list in /run/nixos/start-list /run/nixos/restart-list /run/nixos/reload-list \
    /run/systemd/start-list /run/systemd/restart-list /run/systemd/reload-list; do
    [ -s "$list" ] || continue
    while read -r unit; do
      [ -e "$1/etc/systemd/system/$unit" ] && echo "$unit"
    done < "$list" > "$list.deploy"
    mv -f "$list.deploy" "$list"
  done
}

# Whether the system can be switched to while the host runs: its pre-switch checks, inhibitors included.
# Older releases don't know the action `check`: their usage, which lists the actions, doesn't name it.
pre_switch_check() { # SYSTEM
  switch_is_free 10 || refuse failed "another switch-to-configuration runs on the host"
  output=$(env -u NIX_REMOTE timeout 60 "$1/bin/switch-to-configuration" check 2>&1) && return 0
  case $? in 124 | 137) refuse failed "its pre-switch checks took longer than 60 s" ;; esac
  case $output in
    *'|check'* | *'[check'* | *'check:'*) ;;
    *[Uu]sage*) return 0 ;;
  esac
  printf '%s\n' "$output" >> "$here/log"
  return 1
}
