# One deployment of a host at a time. The lock is a link that names the deployment; it is alive as long as one of
# that deployment's two units is: age proves nothing.

unit_of() { echo "deploy-$1.service"; }
guard_of() { echo "deploy-$1-guard.service"; }

is_id() { case $1 in '' | *[!A-Za-z0-9-]*) return 1 ;; esac; }

# Where the link is gone or leads to no id, a deployment that has a state holds the host all the same, and so does one
# that rebooted and was not taken up again.
lock_holder() {
  holding=$(readlink "$run_directory/lock" 2> /dev/null)
  is_id "$holding" && { echo "$holding"; return; }
  for holding in "$run_directory"/*/state "$pending_directory"/*; do
    [ -e "$holding" ] || continue
    holding=${holding%/state}
    holding=${holding##*/}
    if is_id "$holding"; then echo "$holding"; return; fi
  done
}

# Sets `state` and `reason`; false when the deployment is over. A state that nobody can read is `damaged`.
read_state() { # DIRECTORY-OF-THE-DEPLOYMENT
  { line=$(head -c 1000 "$1/state"); } 2> /dev/null || [ -e "$1/state" ] || return 1
  line=${line%%"$newline"*}
  state=${line%% *}
  reason=${line#"$state"}
  reason=${reason# }
  case $state in '' | *[!a-z-]* | ????????????????????*) state=damaged reason= ;; esac
}

# Looked up, not evaluated: nothing that asks may depend on what the file says.
request_field() { # FILE NAME
  plain "$(head -c 65536 "$1" 2> /dev/null | tr -d '\000' | sed -n "s/^$2='\(.*\)'\$/\1/p" | head -n 1 | sed "s/'\\\\''/'/g")"
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
enter_mutex() { # SECONDS to wait for it; 10 when left out
  mkdir -p -m 700 "$run_directory"
  [ ! -d "$run_directory/mutex" ] || rm -rf "$run_directory/mutex"
  exec 9> "$run_directory/mutex"
  flock -w "${1:-10}" 9
}
leave_mutex() { exec 9>&-; }

# A lock whose deployment died before it touched anything is cleared away; one that died later has to be finished
# first (`recover`).
take_lock() { # ID; the mutex is held
  holder=$(lock_holder)
  if [ -n "$holder" ]; then
    is_alive "$holder" && return 1
    ! read_state "$(directory_of "$holder")" || [ "$state" = ready ] || return 1
    forget "$holder"
  fi
  # A lock that leads to no id locks nothing, and a result can't be written over a directory.
  rm -rf "$run_directory/lock"
  [ ! -d "$run_directory/result" ] || rm -rf "$run_directory/result"
  ln -s "$1" "$run_directory/lock"
}

# Where the state of a deployment is, also when nobody has taken it up again after a reboot.
directory_of() { # ID
  if [ -e "$run_directory/$1" ] || [ ! -d "$pending_directory/$1" ]; then echo "$run_directory/$1"
  else echo "$pending_directory/$1"; fi
}

# Takes away everything of a deployment but its history. Its state goes first: from then on it is over. The program goes
# last: systemd starts it once more when it was killed in the middle.
forget() { # ID
  rm -f "$(directory_of "$1")/state"
  rm -f "$reserve" "$reserve-last"
  rm -f "$auto_roots/deploy-$1"-*
  release_lock "$1"
  forget_lasting "$1"
  for file in "$run_directory/$1"/*; do
    case $file in */program | */guarded) ;; *) rm -rf "$file" ;; esac
  done
  rm -rf "${run_directory:?}/$1"
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
  if is_alive "$holder" || { [ -e "$run_directory/mutex" ] && ! flock -n "$run_directory/mutex" true; }; then echo "lock-alive yes"; else echo "lock-alive no"; fi
  directory=$(directory_of "$holder")
  echo "lock-holder $(request_field "$directory/request" holder_name)"
  echo "lock-since $(request_field "$directory/request" since)"
  echo "lock-mode $(request_field "$directory/request" mode)"
  echo "lock-system $(request_field "$directory/request" new)"
  read_state "$directory" || state=unknown
  echo "pending-state $state"
  deadline=$(number_in "$directory/deadline")
  [ "$state" != awaiting ] || [ -z "$deadline" ] || echo "pending-seconds $(((deadline - $(uptime_cs)) / 100))"
}
