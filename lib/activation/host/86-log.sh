# What a switch printed: of the deployment that is under way, or kept from one that is over. The lines that
# lib/activation/kept-log.ts reads.

# Oldest first: an id begins with the time at which it began.
kept_logs() {
  ls -1 "$state_directory/log" 2> /dev/null | sed -n 's/\.log$//p' | while read -r kept; do
    ! is_id "$kept" || echo "$kept"
  done | sort
}

kept_log() { # ID, or nothing for the last one
  holder=$(lock_holder)
  wanted=${1:-}
  if [ -z "$wanted" ]; then
    [ -n "$holder" ] && [ -f "$run_directory/$holder/log" ] && wanted=$holder || wanted=$(kept_logs | tail -n 1)
  fi
  if is_id "$wanted"; then
    # First where it is while the deployment is under way: it is kept before it goes away there.
    for file in "$run_directory/$wanted/log" "$state_directory/log/$wanted.log"; do
      [ -f "$file" ] || continue
      # Some shells complain of NUL characters.
      { text=$(tail -c 1000000 "$file"); } 2> /dev/null || continue
      echo "id $wanted"
      [ "$file" = "$state_directory/log/$wanted.log" ] || echo "under-way yes"
      grep -aF "\"id\":\"$wanted\"" "$state_directory/history" 2> /dev/null | tail -n 1 | sed 's/^/history /'
      [ -z "$text" ] || printf '%s\n' "$text" | sed 's/^/log /'
      break
    done
  fi
  kept_logs | sed 's/^/kept /'
  echo "end"
}
