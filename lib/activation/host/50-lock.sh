# One deployment of a host at a time. The lock is a link that names the deployment; it is alive as long as one of
# that deployment's two units is: age proves nothing.

unit_of() { echo "deploy-$1.service"; }
guard_of() { echo "deploy-$1-guard.service"; }

lock_holder() { readlink "$run_directory/lock" 2> /dev/null || true; }

is_alive() { # ID
  for unit in "$(unit_of "$1")" "$(guard_of "$1")"; do
    # Nobody answers while systemd re-executes itself: that is no proof of death.
    answer=$(systemctl show --property=ActiveState "$unit" 2> /dev/null) || return 0
    case $answer in
      *=active | *=activating | *=reloading | *=deactivating) return 0 ;;
    esac
  done
  return 1
}

# Whoever looks at the lock in order to change it holds the mutex meanwhile; it goes away with its process.
enter_mutex() {
  mkdir -p -m 700 "$run_directory"
  exec 9> "$run_directory/mutex"
  flock -w 10 9
}
leave_mutex() { exec 9>&-; }

# A lock whose deployment died before it touched anything is cleared away; one that died later has to be finished
# first (`recover`).
take_lock() { # ID; the mutex is held
  holder=$(lock_holder)
  if [ -n "$holder" ]; then
    is_alive "$holder" && return 1
    read -r word _ 2> /dev/null < "$run_directory/$holder/state" || word=ready
    [ "$word" = ready ] || return 1
    rm -rf "${run_directory:?}/$holder" "$run_directory/lock" "$auto_roots/deploy-$holder-old" \
      "$auto_roots/deploy-$holder-new" "$auto_roots/deploy-$holder-toplevel"
  fi
  ln -s "$1" "$run_directory/lock"
}

release_lock() { # ID
  [ "$(lock_holder)" = "$1" ] && rm -f "$run_directory/lock"
}

# Who holds the lock, in the lines that lib/activation/host-state.ts reads.
describe_lock() {
  holder=$(lock_holder)
  [ -n "$holder" ] || return 0
  echo "lock $holder"
  # A deployment that is just beginning has no unit yet, but its process holds the mutex.
  if is_alive "$holder" || ! flock -n "$run_directory/mutex" true; then echo "lock-alive yes"; else echo "lock-alive no"; fi
  (
    . "$run_directory/$holder/request" 2> /dev/null || exit 0
    echo "lock-holder $holder_name"
    echo "lock-since $since"
  )
  read -r pending_state pending_reason 2> /dev/null < "$run_directory/$holder/state" || pending_state=unknown
  echo "pending-state $pending_state"
  read -r deadline 2> /dev/null < "$run_directory/$holder/deadline" && echo "pending-seconds $(((deadline - $(uptime_cs)) / 100))"
  return 0
}
