# What `deploy doctor` asks on top of the probe. Nothing is written: not even that the boot files were compared.
# Read by lib/deployment/doctor/examine.ts.

doctor() {
  note_boot_checked() { :; }
  trees=
  [ "$(boot_loader)" != extlinux ] || [ ! -d /run/current-system/dtbs ] || trees=/run/current-system/dtbs/
  echo "boot-needs $(du -skL /run/current-system/kernel /run/current-system/initrd $trees 2> /dev/null |
    awk '{ sum += $1 } END { printf "%.0f\n", sum * 1024 }')"
  failed=$(systemctl list-units --state=failed --no-legend --plain 2> /dev/null | awk '{ print $1 }')
  # shellcheck disable=SC2086 # a word for each unit
  [ -z "$failed" ] || systemctl show --property=Id --property=StateChangeTimestampMonotonic $failed |
    awk -F= -v now="$(uptime_cs)" '
      $1 == "Id" { unit = $2 }
      $1 == "StateChangeTimestampMonotonic" { since = $2 }
      unit != "" && since != "" { printf "failed-unit %s %.0f\n", unit, now / 100 - since / 1000000; unit = since = "" }'
  probe
}
