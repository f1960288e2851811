# A deployment that needs a reboot. Its directory is in /var, with a link to it in /run, and its supervisor is a unit file
# in /etc/systemd/system.control: systemd looks there first (systemd.unit(5)), `systemctl set-property` keeps its settings
# there, and no configuration of NixOS writes to it. So both are there after the boot; they are gone when it is over.
#   ready -> staging -> rebooting -> (boot) -> awaiting -> confirming -> (end)
#                \----------\------------------\-----------\-> rolling-back -> returning -> (boot) -> (end)

# Why the new system can only be had by a reboot; nothing when it can be switched to.
why_reboot() {
  part=$(stale_parts "$toplevel" | head -n 1)
  case $part in
    '') [ "$(cat "$new/init-interface-version" 2> /dev/null)" = "$(cat /run/current-system/init-interface-version 2> /dev/null)" ] || echo "another interface of init" ;;
    *) echo "another $part" ;;
  esac
}

# Makes the deployment outlive a reboot, or refuses it.
prepare_reboot() {
  mode=reboot
  present_boot=$old_boot present_profile=$old_profile present_link=$old_profile_link
  if [ "$old" = "$new" ]; then
    # It runs, but was never booted: what can be gone back to is the system that was.
    old=$(booted_system)
    old_boot=$old
    old_profile=$old
    old_profile_link=$(generations | awk -v old="$old" '$3 == old { number = $1 } END { if (number) print "system-" number "-link" }')
    : > "$here/made-generation"
    [ -n "$old_profile_link" ] || refuse lasting "it has to reboot ($reboot_reason), and the system that was booted last is no generation any more: there would be nothing to go back to"
  fi
  mkdir -p "$lasting_units/sysinit.target.wants" 2> /dev/null && mkdir -p -m 700 "$pending_directory" 2> /dev/null &&
    lasts "$pending_directory" && lasts "$lasting_units" && [ ! -e "$toplevel/etc-metadata-image" ] || {
    remove_lasting_directories
    refuse lasting "it has to reboot ($reboot_reason), and nothing in $state_directory and /etc would be left to bring it back"
  }
  case " $(systemctl show --property=UnitPath 2> /dev/null | sed 's/^UnitPath=//') " in
    *" $lasting_units "*) ;;
    *) refuse lasting "it has to reboot ($reboot_reason), and its systemd does not look into $lasting_units" ;;
  esac
  mv "$here" "$pending_directory/$id" && ln -s "$pending_directory/$id" "$here" && write_lasting_unit &&
    echo "$reboot_reason" > "$here/reboot-reason" &&
    echo "$(boot_mounts)" > "$here/boot-mounts" || refuse failed "$pending_directory could not be written"
}

# Whether what is written there is there after a reboot. An overlay over /etc (and a system with one, in prepare_reboot)
# may show something else to the next boot.
lasts() { # DIRECTORY
  case $(stat -f -c %T "$1") in
    tmpfs | ramfs) return 1 ;;
    overlay*) [ "$(stat -c %m "$1")" = / ] ;;
  esac
}

# Where the boot loader's files are: a line DIRECTORY MOUNT-POINT each.
boot_mounts() {
  for directory in /boot /efi /boot/efi; do [ ! -d "$directory" ] || echo "$directory $(stat -c %m "$directory")"; done
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
StartLimitIntervalSec=0

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
  reserve_room 2> /dev/null
  ln -s "$pending_directory/$1" "$run_directory/$1" 2> /dev/null
  [ -L "$run_directory/lock" ] || ln -s "$1" "$run_directory/lock" 2> /dev/null
}

# Whoever comes here goes by which boot this is and by what was booted, not only by the last state that was written.
supervise_reboot() {
  if ! has_rebooted; then
    case $state in
      ready) activate ;;
      staging) stage_reboot ;;
      rebooting) if called_off; then read -r _ why < "$here/verdict"; roll_back "$why"; else restart_host; fi ;;
      rolling-back) roll_back "$reason" ;;
      *) roll_back "its records on the host were damaged" ;;
    esac
    return
  fi
  # This early in the boot nobody else can have taken it.
  keep_switch_lock
  systemctl is-active --quiet "$(guard_of "$id")" || start_unit "$(guard_of "$id")" guard
  case $state in
    ready | staging | rebooting) arrive ;;
    awaiting)
      if [ "$(cat "$here/arrived-in" 2> /dev/null)" = "$(boot_id)" ]; then await
      else roll_back "the host restarted before the new system was confirmed"; fi
      ;;
    confirming)
      if [ "$(cat "$here/arrived-in" 2> /dev/null)" != "$(boot_id)" ]; then
        # Confirmed already, and booted once more since.
        if [ -n "$(once)" ] && [ "$(booted_system)" = "$old_boot" ]; then
          roll_back "the host restarted before the boot loader had the new system"
          return
        fi
        [ "$(running_system)" != "$toplevel" ] || activate_specialisation || return
      fi
      confirm_system
      ;;
    rolling-back | returning) roll_back "$reason" ;;
    *) roll_back "its records on the host were damaged" ;;
  esac
}

# The profile and the boot loader get the new system, or the boot loader tries it once (66-try-once.sh); then the host
# reboots.
stage_reboot() {
  if called_off; then read -r _ why < "$here/verdict"; roll_back "$why"; return; fi
  set_state staging "$(cat "$here/reboot-reason")"
  set_new_profile || return
  try_once || { forget_once; make_permanent; } || return
  if called_off; then read -r _ why < "$here/verdict"; roll_back "$why"; return; fi
  set_state rebooting "$(once)"
  restart_host
}

# False before the reboot, and for a deployment without one.
has_rebooted() { [ "$mode" = reboot ] && [ "$(boot_id)" != "$began_in" ]; }

# A unit that doesn't stop, a program that inhibits it, or a systemd that froze does not keep the host from rebooting.
# The boot loader is asked for the system, not a kernel that somebody loaded for kexec.
reboot_steps='export SYSTEMCTL_SKIP_AUTO_KEXEC=1 SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT=1
sync
systemctl --ignore-inhibitors reboot
sleep "$0" || exit
systemctl reboot --force
sleep 60 || exit
systemctl reboot --force --force
sleep 60 || exit
echo b > /proc/sysrq-trigger'

restart_host() { /bin/sh -c "$reboot_steps" "$((reboot_seconds / 2))"; }

# The directory that this program is in is gone by then, and its unit is stopped by the very reboot that it waits for.
# NixOS's systemd has next to nothing in its own PATH.
reboot_for_good() {
  systemd-run --quiet --collect --unit="deploy-reboot-$id" --property=DefaultDependencies=no --property=IgnoreOnIsolate=yes \
    --setenv=PATH="$PATH" -- /bin/sh -c "sleep 1; $reboot_steps" "$((reboot_seconds / 2))" || systemctl reboot
}

# Once: whoever comes here in another boot finds that the first one didn't get to its end.
arrive() {
  if [ -s "$here/arrived-in" ]; then roll_back "the host restarted before the new system was confirmed"; return; fi
  if [ "$(booted_system)" != "$toplevel" ]; then
    if [ -n "$(once)" ] && [ "$(booted_system)" = "$old_boot" ]; then
      note switched
      roll_back "the new system did not come up, and the boot loader went back to the one before"
      return
    fi
    roll_back "the host came up with $(booted_system), not with the new system"
    return
  fi
  boot_id > "$here/arrived-in"
  note switched
  activate_specialisation || return
  # The boot goes on meanwhile.
  echo $(($(uptime_cs) + (reboot_seconds + confirm_seconds) * 100)) | write_file "$here/deadline"
  set_state awaiting
  await
}

# The boot loader has its parent. False when that failed and the way back was gone.
activate_specialisation() {
  [ "$(running_system)" != "$new" ] || return 0
  wait_for_boot
  run_switch "$new" test $((switch_seconds * 100))
  case $switch_exit in
    0 | 4) ;;
    *) roll_back "the specialisation could not be activated (exit code $switch_exit)"; return 1 ;;
  esac
}

wait_for_boot() { timeout "$reboot_seconds" systemctl is-system-running --wait > /dev/null 2>&1; }

# A boot is not healthy before it is through: what it has not come to yet can still fail.
unfinished_boot() {
  [ "$mode" != reboot ] || systemctl is-active --quiet default.target || echo "default.target passing has not been reached yet"
}

# Going back in the boot in which it began leaves all as it is now: that may be another system than the one to boot back to.
# After a boot, the boot loader's file systems may not be there yet.
prepare_way_back() {
  if ! has_rebooted; then
    forget_once
    old_boot=${present_boot:-$old_boot} old_profile=${present_profile:-$old_profile}
    old_profile_link=${present_link:-$old_profile_link}
    return
  fi
  await_boot_mounts || return
  forget_once
  return 0
}

# False, with missing_mount, when one of them is not there in time: what was written would be in another file system.
await_boot_mounts() {
  missing_mount= waited=0
  [ -s "$here/boot-mounts" ] || return 0
  while read -r directory mount_point; do
    [ -n "$directory" ] || continue
    until [ "$(stat -c %m "$mount_point" 2> /dev/null)" = "$mount_point" ]; do
      [ $waited -lt "$reboot_seconds" ] || { missing_mount=$mount_point; return 1; }
      systemctl start --no-block "$(systemd-escape --path --suffix=mount "$mount_point")" 2> /dev/null
      sleep 1
      waited=$((waited + 1))
    done
  done < "$here/boot-mounts"
} 2> /dev/null

# Profile and boot loader are the old ones again. True when the old system runs, or nothing can be done about it; false
# when the host reboots into it.
boot_back() {
  has_rebooted || return 0
  way_back=$old_boot
  [ "$way_back" != unknown ] || way_back=$old_profile
  if [ -z "$theirs" ] && [ "$(booted_system)" != "$way_back" ] && [ "$(booted_system)" != "$old" ]; then
    # Only into what is known to be the old system.
    [ "$(boot_default)" = "$old_boot" ] || return 0
    echo . >> "$here/returns"
    if [ "$(wc -l < "$here/returns")" -gt 3 ]; then
      finish needs-hands "$why; and the host comes up with another system again and again, although the boot loader names the old one"
      return 1
    fi
    set_state returning "$why"
    restart_host
    return 1
  fi
  wait_for_boot
  # What ran before was not what booted: a specialisation, or a system that was only tested.
  if [ -z "$theirs" ] && [ "$(running_system)" != "$old" ]; then
    export NIXOS_NO_CHECK=1
    run_switch "$old" test $((switch_seconds * 100))
    unset NIXOS_NO_CHECK
  fi
  restore_units "$here/units" >> "$here/log" 2>&1
  return 0
}
