# Where the boot loader can try an entry once, the old system stays its default until the new one is confirmed: a kernel
# that dies before systemd runs, or a power cut, then leads back by itself. systemd-boot takes such an entry from the
# variable LoaderEntryOneShot, and removes that before it starts the entry (systemd-boot(7)).

# The new system's entry is in the menu, and is started once. False when that can't be had here; nothing is lost by having
# tried.
try_once() {
  [ "$(boot_loader)" = systemd-boot ] && [ "$old_boot" != unknown ] && booted_by_systemd_boot || return 1
  note boot-touched || return 1
  export NIXOS_NO_CHECK=1
  set_boot_loader "$old_boot"
  unset NIXOS_NO_CHECK
  [ "$switch_exit" = 0 ] && [ "$(boot_default)" = "$old_boot" ] || return 1
  entry=$(entry_of "$toplevel")
  [ -n "$entry" ] && [ -z "$(systemd_boot_lines "$entry" | repair_files "$toplevel" 2>> "$here/log")" ] || return 1
  note tries-once && bootctl set-oneshot "$(entry_id "$entry")" >> "$here/log" 2>&1 || { forget_once; return 1; }
}

# Nothing where the boot loader was given the new system for good.
once() { [ ! -e "$here/tries-once" ] || echo "the boot loader tries it once"; }

forget_once() {
  [ ! -e "$here/tries-once" ] || { bootctl set-oneshot '' >> "$here/log" 2>&1 && rm -f "$here/tries-once"; }
}

# It says so itself, in UTF-16; another loader, or none, may have read files of its kind.
booted_by_systemd_boot() { cat /sys/firmware/efi/efivars/LoaderInfo-* 2> /dev/null | tr -d '\000' | grep -aq systemd-boot; }

# The file of a system's newest entry; that of a specialisation names another init.
entry_of() { # TOPLEVEL
  ls -1t "$(system_partition)"/loader/entries/*.conf 2> /dev/null | while read -r file; do
    systemd_boot_lines "$file" | grep -q "^options.*init=$1/init\( \|$\)" && echo "$file" && break
  done
}

# What systemd-boot calls an entry: its file's name, without the counters of boot assessment.
entry_id() { # ENTRY-FILE
  echo "${1##*/}" | sed -E 's/\+[0-9]+(-[0-9]+)?\.conf$/.conf/'
}
