# One at a time changes the keys of a host. Whoever does holds a lock by a process of this program, whose standard input
# is the connection: it is released when that ends, however it does.

# Seconds. Whoever holds the lock says something more often than that; a connection may be gone without a word.
silence=120

make_run_directory() { mkdir -p -m 700 "$run_directory" && chmod 700 "$run_directory"; }

hold() { # WHO
  make_run_directory && exec 9>> "$run_directory/lock" || return
  flock -n 9
  case $? in
    0) ;;
    1) echo "held $(plain "$(head -c 400 "$run_directory/lock")")"; return ;;
    *) return 69 ;;
  esac
  plain "$1" > "$run_directory/lock"
  # What a connection began that is gone by now is waited for.
  exec 8>> "$run_directory/step"
  if ! flock -w 60 8; then
    echo "held a step of a change that was cut off, and is not over"
    return
  fi
  exec 8>&-
  echo locked
  while timeout "$silence" head -n 1 | grep -q ''; do echo heard; done
}

# What changes something takes part in the lock of whoever asked for it, until it is over.
begin_step() { make_run_directory && exec 8>> "$run_directory/step" && flock -s -w 60 8; }
