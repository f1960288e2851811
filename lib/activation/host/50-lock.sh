# One deployment of a host at a time. The lock is a link that names the deployment; it is alive as long as one of
# that deployment's two units is: age proves nothing.

unit_of() { echo "deploy-$1.service"; }
guard_of() { echo "deploy-$1-guard.service"; }

# After a reboot there is no lock yet, but the directory of the deployment that rebooted.
lock_holder() {
  readlink "$run_directory/lock" 2> /dev/null && return
  for pending in "$pending_directory"/*; do
    [ ! -d "$pending" ] || { echo "${pending##*/}"; return; }
  done
}

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
    read -r word _ 2> /dev/null < "$(directory_of "$holder")/state" || word=ready
    [ "$word" = ready ] || return 1
    forget "$holder"
  fi
  ln -s "$1" "$run_directory/lock"
}

# Where the state of a deployment is, also when nobody has taken it up again after a reboot.
directory_of() { # ID
  if [ -e "$run_directory/$1" ] || [ ! -d "$pending_directory/$1" ]; then echo "$run_directory/$1"
  else echo "$pending_directory/$1"; fi
}

# Takes away everything of a deployment but its history. Its state goes in one step: afterwards it is over.
forget() { # ID
  rm -f "$auto_roots/deploy-$1"-*
  forget_lasting "$1"
  [ ! -d "$run_directory/$1" ] || { mv "$run_directory/$1" "$run_directory/.gone-$1" && rm -rf "$run_directory/.gone-$1"; }
  release_lock "$1"
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
    . "$(directory_of "$holder")/request" 2> /dev/null || exit 0
    echo "lock-holder $holder_name"
    echo "lock-since $since"
  )
  read -r pending_state pending_reason 2> /dev/null < "$(directory_of "$holder")/state" || pending_state=unknown
  echo "pending-state $pending_state"
  read -r deadline 2> /dev/null < "$(directory_of "$holder")/deadline" && echo "pending-seconds $(((deadline - $(uptime_cs)) / 100))"
  return 0
}
