# A deployment that needs a reboot. Its directory is in /var, with a link to it in /run, and its supervisor is a unit file
# in /etc/systemd/system.control: systemd looks there first (systemd.unit(5)), `systemctl set-property` keeps its settings
# there, and no configuration of NixOS writes to it. So both are there after the boot; they are gone when it is over.
#   ready -> staging -> rebooting -> (boot) -> awaiting -> confirming -> (end)
#                \----------\------------------\-----------\-> rolling-back -> returning -> (boot) -> (end)

# Why the new system can only be had by a reboot; nothing when it can be switched to.
why_reboot() {
  part=$(stale_parts "$new" | head -n 1)
  case $part in
    '') [ "$(cat "$new/init-interface-version" 2> /dev/null)" = "$(cat /run/current-system/init-interface-version 2> /dev/null)" ] || echo "another interface of init" ;;
    *) echo "another $part" ;;
  esac
}

# Makes the deployment outlive a reboot, or refuses it.
prepare_reboot() {
  mode=reboot
  if [ "$old" = "$new" ]; then
    # It runs, but was never booted: what can be gone back to is the system that was.
    old=$(booted_system)
    old_boot=$old
    old_profile=$old
    old_profile_link=$(generations | awk -v old="$old" '$3 == old { number = $1 } END { if (number) print "system-" number "-link" }')
    touch "$here/made-generation"
    [ -n "$old_profile_link" ] || refuse lasting "it has to reboot ($reboot_reason), and the system that was booted last is no generation any more: there would be nothing to go back to"
  fi
  mkdir -p "$lasting_units/sysinit.target.wants" 2> /dev/null && mkdir -p -m 700 "$pending_directory" 2> /dev/null &&
    lasts "$pending_directory" && lasts "$lasting_units" || {
    remove_lasting_directories
    refuse lasting "it has to reboot ($reboot_reason), and nothing in $state_directory and /etc would be left to bring it back"
  }
  case " $(systemctl show --property=UnitPath 2> /dev/null | sed 's/^UnitPath=//') " in
    *" $lasting_units "*) ;;
    *) refuse lasting "it has to reboot ($reboot_reason), and its systemd does not look into $lasting_units" ;;
  esac
  mv "$here" "$pending_directory/$id" && ln -s "$pending_directory/$id" "$here" && write_lasting_unit &&
    echo "$reboot_reason" > "$here/reboot-reason" || refuse failed "$pending_directory could not be written"
}

# Whether what is written there is there after a reboot.
lasts() { # DIRECTORY
  case $(stat -f -c %T "$1") in tmpfs | ramfs) return 1 ;; esac
}

# Without a Conflicts=shutdown.target: a unit that doesn't stop must not hold up the reboot (restart_host).
write_lasting_unit() {
  cat > "$lasting_units/$(unit_of "$id")" << end &&
[Unit]
Description=deployment $id
DefaultDependencies=no
RequiresMountsFor=$pending_directory
Before=sysinit.target
IgnoreOnIsolate=yes

[Service]
Type=exec
ExecStart=$(readlink -f /bin/sh) $pending_directory/$id/program supervise $id
Environment=DEPLOY_TOOLS=$old
OOMPolicy=continue
OOMScoreAdjust=-1000
Restart=on-failure
RestartSec=200ms
end
    ln -sf "../$(unit_of "$id")" "$lasting_units/sysinit.target.wants/$(unit_of "$id")" &&
    sync_file_system "$lasting_units" && systemctl daemon-reload
}

# The unit first: without it, what is left is finished by the next deployment; without the rest, it would start for ever.
forget_lasting() { # ID
  [ -d "$pending_directory/$1" ] || return 0
  remove_lasting_unit "$1"
  mv "$pending_directory/$1" "$pending_directory/.gone-$1"
  rm -f "$run_directory/$1"
  rm -rf "$pending_directory/.gone-$1"
  remove_lasting_directories
  sync_file_system "$state_directory"
}

remove_lasting_unit() { # ID
  rm -f "$lasting_units/sysinit.target.wants/$(unit_of "$1")" "$lasting_units/$(unit_of "$1")"
  remove_lasting_directories
  sync_file_system /etc
  systemctl daemon-reload
}

# Those that are empty.
remove_lasting_directories() { rmdir "$pending_directory" "$lasting_units/sysinit.target.wants" "$lasting_units" 2> /dev/null; }

# What a power cut left in the middle of forgetting.
sweep_lasting() {
  for unit in "$lasting_units"/deploy-*t*-*.service; do
    left=${unit##*/deploy-}
    left=${left%.service}
    [ ! -e "$unit" ] || [ -d "$pending_directory/$left" ] || remove_lasting_unit "$left"
  done
  rm -rf "$pending_directory"/.gone-*
}

# After a boot: the link and the lock that were in /run.
take_up() { # ID
  [ -d "$pending_directory/$1" ] || return 0
  mkdir -p -m 700 "$run_directory"
  ln -s "$pending_directory/$1" "$run_directory/$1" 2> /dev/null
  [ -L "$run_directory/lock" ] || ln -s "$1" "$run_directory/lock" 2> /dev/null
}

# Whoever comes here goes by which boot this is and by what was booted, not only by the last state that was written.
supervise_reboot() {
  if [ "$(boot_id)" = "$began_in" ]; then
    case $state in
      ready) activate ;;
      staging) stage_reboot ;;
      rebooting) restart_host ;;
      rolling-back) roll_back "$reason" ;;
      *) roll_back "its records on the host were damaged" ;;
    esac
    return
  fi
  systemctl is-active --quiet "$(guard_of "$id")" || start_unit "$(guard_of "$id")" guard
  case $state in
    ready | staging | rebooting) arrive ;;
    awaiting)
      if [ "$(cat "$here/arrived-in" 2> /dev/null)" = "$(boot_id)" ]; then await
      else roll_back "the host restarted before the new system was confirmed"; fi
      ;;
    confirming) confirm_system ;;
    rolling-back | returning) roll_back "$reason" ;;
    *) roll_back "its records on the host were damaged" ;;
  esac
}

# The profile and the boot loader get the new system; then the host reboots.
stage_reboot() {
  set_state staging "$(cat "$here/reboot-reason")"
  make_permanent || return
  if called_off; then read -r _ why < "$here/verdict"; roll_back "$why"; return; fi
  set_state rebooting
  restart_host
}

# A unit that doesn't stop, or a program that inhibits it, does not keep the host from rebooting.
restart_host() {
  sync
  systemctl --ignore-inhibitors reboot
  waited=0
  while [ $waited -lt $((reboot_seconds / 2)) ]; do sleep 1 || return; waited=$((waited + 1)); done
  systemctl reboot --force
  sleep 60
}

arrive() {
  if [ "$(booted_system)" != "$toplevel" ]; then
    roll_back "the host came up with $(booted_system), not with the new system"
    return
  fi
  touch "$here/switched"
  if [ "$(running_system)" != "$new" ]; then
    # A specialisation: the boot loader has its parent.
    wait_for_boot
    run_switch "$new" test $((switch_seconds * 100))
    case $switch_exit in
      0 | 4) ;;
      *) roll_back "the specialisation could not be activated (exit code $switch_exit)"; return ;;
    esac
  fi
  boot_id > "$here/arrived-in"
  # The boot goes on meanwhile.
  echo $(($(uptime_cs) + (reboot_seconds + confirm_seconds) * 100)) | write_file "$here/deadline"
  set_state awaiting
  await
}

wait_for_boot() { timeout "$reboot_seconds" systemctl is-system-running --wait > /dev/null 2>&1; }

# A boot is not healthy before it is through: what it has not come to yet can still fail.
unfinished_boot() {
  [ "$mode" != reboot ] || systemctl is-active --quiet default.target || echo "default.target passing has not been reached yet"
}

# The toplevels that this deployment itself may have made the host boot.
was_booted_for_it() { [ "$1" = "$toplevel" ] || [ "$1" = "$old_boot" ]; } # SYSTEM

# Profile and boot loader are the old ones again. True when the old system runs, false when the host reboots into it.
boot_back() {
  [ "$(boot_id)" != "$began_in" ] || return 0
  if [ "$(booted_system)" = "$toplevel" ]; then
    next=$(boot_default)
    [ "$next" = unknown ] || [ "$next" = "$old_boot" ] || return 0
    echo . >> "$here/returns"
    if [ "$(wc -l < "$here/returns")" -gt 3 ]; then
      finish needs-hands "$why; and the host comes up with the new system again and again, although the boot loader names the old one"
      return 1
    fi
    set_state returning "$why"
    restart_host
    return 1
  fi
  wait_for_boot
  # What ran before was not what booted: a specialisation, or a system that was only tested.
  if [ "$(running_system)" != "$old" ]; then
    export NIXOS_NO_CHECK=1
    run_switch "$old" test $((switch_seconds * 100))
    unset NIXOS_NO_CHECK
  fi
  restore_units "$here/units" >> "$here/log" 2>&1
  return 0
}
