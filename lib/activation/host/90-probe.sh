# Everything that a deployment asks before it does anything, in one answer. Read by lib/activation/host-state.ts.

free_bytes() { df -P -k "$1" 2> /dev/null | awk 'NR == 2 { printf "%.0f\n", $4 * 1024 }'; }

probe() {
  [ "$(id -u)" = 0 ] && echo "root yes" || echo "root no"
  [ -e /etc/NIXOS ] && echo "nixos yes" || echo "nixos no"
  echo "machine $(uname -m)"
  echo "running $(running_system)"
  echo "booted $(booted_system)"
  echo "profile $(profile_system)"
  echo "generation $(profile_generation)"
  echo "boot $(boot_default)"
  echo "boot-loader $(boot_loader)"
  echo "boot-id $(boot_id)"
  # Of somebody who isn't root it would tell nothing.
  [ "$(id -u)" != 0 ] || [ ! -d "${system_profile%/*}" ] || [ -w "${system_profile%/*}" ] || echo "read-only ${system_profile%/*}"
  echo "free-store $(free_bytes /nix/store)"
  directory=$(boot_files_directory)
  if [ -n "$directory" ]; then
    echo "free-boot $(free_bytes "$directory")"
    ls -1 "$directory" | sed 's/\.efi$//; s/^/boot-file /'
  fi
  [ -d /run/systemd/system ] && echo "systemd yes" || echo "systemd no"
  case $(systemctl show --property=ActiveState nixos-upgrade.timer 2> /dev/null) in
    *=active) echo "upgrade-timer yes" ;;
  esac
  for tool in systemd-run flock nix-daemon nix-env awk; do
    command -v "$tool" > /dev/null || echo "lacks $tool"
  done
  # A specialisation that was switched to has its parent's.
  booting=/run/current-system
  for specialisation in "$system_profile"/specialisation/*; do
    [ "$(target_of "$specialisation")" != "$(running_system)" ] || booting=$system_profile
  done
  stale_parts "$booting" | sed 's/^/not-booted /'
  for specialisation in "$system_profile"/specialisation/*; do
    [ "$(target_of "$specialisation")" != "$(running_system)" ] || echo "specialisation ${specialisation##*/}"
  done
  generations | sed 's/^/generation-link /'
  describe_lock
  unchecked_boot_files | sed 's/^/damaged-boot-file /'
  echo "end"
}

# Finishes what a deployment left whose two units are gone: its supervisor, once more, here.
recover() { # ID
  enter_mutex || exit 0
  if load "$1" && ! is_alive "$1"; then
    # Nobody reboots a host for somebody who is gone.
    if [ "$mode" = reboot ] && ! has_rebooted; then give_verdict abort "the deployment was interrupted before the reboot"; fi
    if [ "$state" = ready ]; then (finish untouched "the deployment was interrupted before it began" > /dev/null 2>&1)
    else (supervise "$1" > /dev/null 2>&1); fi
  elif [ "$(lock_holder)" = "$1" ] && ! is_alive "$1"; then
    end_unread "$1"
    # It died before it had a state: there is nothing to finish.
    forget "$1"
  fi
  leave_mutex
  result_of "$1"
}

history() { cat "$state_directory/history" 2> /dev/null || true; }

dry_activate() { # SYSTEM SECONDS
  env -u NIX_REMOTE timeout "$2" "$1/bin/switch-to-configuration" dry-activate 2>&1
  echo "exit $?"
}
