# Units: a snapshot before, the same question after, and the difference between the two answers.
# An exit code of the switch is no verdict: it is 4 for any failed unit, however old the failure.

# One line for each unit:
# ID LOAD ACTIVE SUB NRESTARTS TYPE REMAIN TRANSIENT TRIED STARTED JOB WANTED SINCE TRIGGERED
# TRIED: its conditions were looked at once; STARTED: it left `inactive` once; WANTED: an active
# target wants it that a switch starts again. SINCE: the second (since the boot) at which it left `inactive`.
# Of the kinds that are judged: systemd answers for each unit by itself, and a host has a hundred devices.
units() {
  systemctl show --all --no-pager '*.service' '*.socket' '*.timer' '*.path' '*.mount' '*.automount' '*.swap' '*.target' --property=Id,LoadState,ActiveState,SubState,NRestarts,Type,RemainAfterExit,Transient,ConditionTimestampMonotonic,InactiveExitTimestampMonotonic,Job,Wants,Requires,BindsTo,RefuseManualStart,TriggeredBy 2> /dev/null |
    awk -F= '
      function flush(n, i, list) {
        if (id == "") return
        # network.target and its like are never started by a switch: what is new in them waits for the next boot.
        if (id ~ /\.target$/ && v["ActiveState"] == "active" && v["RefuseManualStart"] != "yes") {
          n = split(v["Wants"] " " v["Requires"] " " v["BindsTo"], list, " ")
          for (i = 1; i <= n; i++) wanted[list[i]] = 1
        }
        ids[++count] = id
        row[id] = d("LoadState") " " d("ActiveState") " " d("SubState") " " (v["NRestarts"] + 0) " " d("Type") " " d("RemainAfterExit") " " d("Transient") " " (v["ConditionTimestampMonotonic"] + 0 > 0 ? 1 : 0) " " (v["InactiveExitTimestampMonotonic"] + 0 > 0 ? 1 : 0) " " (v["Job"] + 0 > 0 ? 1 : 0)
        more[id] = int(v["InactiveExitTimestampMonotonic"] / 1000000) " " (v["TriggeredBy"] == "" ? 0 : 1)
        id = ""; split("", v)
      }
      function d(key) { return v[key] == "" ? "-" : v[key] }
      $0 == "" { flush(); next }
      { key = $1; value = substr($0, length(key) + 2); if (key == "Id") id = value; v[key] = value }
      END { flush(); for (i = 1; i <= count; i++) print ids[i], row[ids[i]], (ids[i] in wanted ? 1 : 0), more[ids[i]] }'
}

# Something else whenever a unit has changed, for a thirtieth of what `units` costs. A service that was started again has
# another control group.
unit_signs() {
  systemctl list-units --all --no-legend --no-pager --plain | grep -Ev '^[^ ]+\.(scope|slice|device) '
  ls -di /sys/fs/cgroup/*.slice/*.service /sys/fs/cgroup/*.slice/*.slice/*.service
} 2> /dev/null

# Written before a switch: the second at which it was taken says what came and went even then.
snapshot_units() { # FILE
  echo $(($(uptime_cs) / 100)) > "$1.taken"
  units > "$1"
}

# The problems of `units` lines on standard input, judged against the snapshot BEFORE and the one taken right
# after the switch (AFTER, may be missing): one line each, `UNIT final|passing WHY`. Empty output: nothing got worse.
# Final is what no waiting makes better.
unit_problems() { # BEFORE AFTER
  awk -v before="$1" -v after="$2" -v taken="$(cat "$1.taken" 2> /dev/null || echo 0)" -v now_seconds="$(($(uptime_cs) / 100))" '
    # What is wrong with a unit by itself, whatever was before.
    function trouble(active, sub_, load, type, tried, started, job, want) {
      if (active == "failed") return "final failed"
      if (sub_ ~ /^auto-restart/) return "passing keeps restarting"
      if (want && load == "loaded" && active == "inactive" && !tried && !started && !job) return "final was not started, although it is wanted"
      return ""
    }
    BEGIN {
      while ((getline line < before) > 0) {
        split(line, f, " ")
        was[f[1]] = trouble(f[3], f[4], f[2], f[6], f[9], f[10], f[11], f[12])
        active[f[1]] = (f[3] == "active")
        # It came and went before the switch as well: a console on a line that nobody uses, say.
        flapped[f[1]] = (f[5] > 0 && taken - f[13] < 60)
      }
      while ((getline line < after) > 0) { split(line, f, " "); restarts[f[1]] = f[5]; known[f[1]] = 1 }
    }
    $1 ~ /^deploy-[0-9]+t[0-9]+-[0-9a-f]+(-guard)?\.service$/ || $8 == "yes" || $1 ~ /\.(scope|slice|device)$/ { next }
    {
      now = trouble($3, $4, $2, $6, $9, $10, $11, $12)
      if (flapped[$1] && now ~ /restarting/) next
      if (now != "" && was[$1] == "") print $1, now
      else if (known[$1] && $5 > restarts[$1] && was[$1] !~ /restarting/ && !flapped[$1]) {
        # Once or twice may be a dependency that was slow to come up: it has to stay up then.
        if ($5 >= restarts[$1] + 3) print $1, "final keeps restarting"
        else if (now_seconds - $13 < 15) print $1, "passing was restarted by systemd"
      }
      else if (active[$1] && $3 == "inactive" && $12 && $2 == "loaded" && $6 != "oneshot" && !$11)
        print $1, "passing is inactive, and was active before"
    }'
}

# Starts again what was active in the snapshot and is not any more.
restore_units() { # BEFORE
  stopped=$(units | awk -v before="$1" '
    BEGIN { while ((getline line < before) > 0) { split(line, f, " "); if (f[3] == "active" && f[8] != "yes" && !(f[6] == "oneshot" && f[7] != "yes")) active[f[1]] = 1 } }
    # Instances of a socket and what a timer runs come and go by themselves.
    ($1 ~ /@/ || $14) && !$12 { next }
    $1 ~ /\.(service|socket|timer|path|mount|automount|swap|target)$/ && active[$1] && ($3 == "inactive" || $3 == "failed") && $2 == "loaded" { print $1 }')
  [ -n "$stopped" ] || return 0
  echo "starting again what was active before:" $stopped
  systemctl reset-failed $stopped 2> /dev/null
  timeout 60 systemctl start -- $stopped
}

job_ids() { systemctl list-jobs --no-legend --no-pager 2> /dev/null | awk '$1 + 0 > 0 && $2 !~ /^deploy-[0-9]+t[0-9]+-[0-9a-f]+(-guard)?\.service$/ { print $1 }'; }

# A switch that was killed leaves its jobs in the queue.
cancel_jobs_since() { # FILE-WITH-THE-IDS-BEFORE
  for job in $(job_ids); do
    grep -qx "$job" "$1" || systemctl cancel "$job" 2> /dev/null
  done
}
