# What the next boot will run, read from the boot loader's own files, and whether those files are whole.
# extlinux: U-Boot on the Pi and other boards. systemd-boot: UEFI. GRUB: BIOS. Anything else is unknown.

boot_loader() {
  if [ -e /boot/extlinux/extlinux.conf ]; then echo extlinux
  elif [ -n "$(system_partition)" ]; then echo systemd-boot
  elif [ -e /boot/grub/grub.cfg ]; then echo grub
  else echo unknown; fi
}

# Where the EFI system partition with systemd-boot is mounted; nothing when there is none.
system_partition() {
  for partition in /boot /efi /boot/efi; do
    if [ -e "$partition/loader/loader.conf" ]; then echo "$partition"; return; fi
  done
}

# Where kernels and initrds are copied to; nothing where they are read from the store, or that isn't known.
boot_files_directory() {
  case $(boot_loader) in
    extlinux) directory=/boot/nixos ;;
    systemd-boot) directory=$(system_partition)/EFI/nixos ;;
    grub) directory=/boot/kernels ;;
    *) return ;;
  esac
  [ ! -d "$directory" ] || echo "$directory"
}

# The file of systemd-boot's default entry, when there is exactly one that it can be. A pattern may mean several, names
# may carry the counters of boot assessment, and a choice made in its menu (an EFI variable) comes before all of it.
systemd_boot_entry() { # SYSTEM-PARTITION
  for chosen in /sys/firmware/efi/efivars/LoaderEntryDefault-*; do
    [ ! -e "$chosen" ] || return 0
  done
  name=$(awk '$1 == "preferred" { preferred = $2 } $1 == "default" { default_ = $2 } END { print preferred != "" ? preferred : default_ }' "$1/loader/loader.conf")
  [ -n "$name" ] || return 0
  set -- "$1" "$1/loader/entries/"${name%.conf}.conf "$1/loader/entries/"${name%.conf}+*.conf
  directory=$1
  shift
  found=
  for file; do
    [ -e "$file" ] || continue
    [ -z "$found" ] || return 0
    found=$file
  done
  [ -z "$found" ] || echo "$found"
}

systemd_boot_lines() { # ENTRY-FILE
  awk -v root="$(system_partition)" '
    $1 == "linux" { print "kernel " root $2 }
    $1 == "initrd" { print "initrd " root $2 }
    $1 == "options" { $1 = ""; print "options" $0 }' "$1"
}

# The lines of the default entry: KEY VALUE
default_entry() {
  case $(boot_loader) in
    extlinux)
      awk '
        toupper($1) == "DEFAULT" { wanted = $2 }
        toupper($1) == "LABEL" { label = $2; next }
        { lines[label] = lines[label] $0 "\n" }
        END { printf "%s", lines[wanted] }' /boot/extlinux/extlinux.conf |
        awk 'toupper($1) == "LINUX" { print "kernel /boot/extlinux/" $2 }
             toupper($1) == "INITRD" { print "initrd /boot/extlinux/" $2 }
             toupper($1) == "FDTDIR" { print "dtbs /boot/extlinux/" $2 }
             toupper($1) == "FDT" { tree = $2; sub("^\\.\\./nixos/[^/]*/", "", tree); print "dtbs/" tree " /boot/extlinux/" $2 }
             toupper($1) == "APPEND" { $1 = ""; print "options" $0 }' |
        sed 's|/extlinux/\.\./|/|' ;;
    systemd-boot)
      entry=$(systemd_boot_entry "$(system_partition)")
      [ -z "$entry" ] || systemd_boot_lines "$entry" ;;
    grub)
      # Only the first entry as the default can be told for certain: others may be remembered in grubenv.
      awk '$1 == "set" && $2 ~ /^default=/ && $2 !~ /^default="?(0|\$\{next_entry\})"?$/ { other = 1 }
           $1 == "menuentry" { entries++ }
           entries == 1 && $1 == "linux" { $1 = ""; $2 = ""; line = line "options" $0 "\n" }
           END { if (!other) printf "%s", line }' /boot/grub/grub.cfg ;;
  esac
}

# The toplevel that the next boot runs; `unknown` when this boot loader can't be read.
boot_default() { default_entry | system_of_entry; }

system_of_entry() { # the lines of an entry on standard input
  found=$(sed -n 's|^options.*init=\(/nix/store/[^/ ]*\)/init.*|\1|p' | head -n 1)
  echo "${found:-unknown}"
}

# An initrd may carry secrets behind its end, so the file in /boot must start with the one in the store.
starts_with() { # FILE-IN-BOOT FILE-IN-STORE
  head -c "$(stat -L -c %s "$2")" "$1" 2> /dev/null | cmp -s - "$2"
}

# A kernel that was signed for Secure Boot has another header, and the signature behind its end: all that can be told of it
# is that it is not short.
is_whole() { # FILE-IN-BOOT FILE-IN-STORE
  if [ -d "$2" ]; then [ -d "$1" ]
  else starts_with "$1" "$2" || { is_signed_here "$1" "$2" && [ "$(stat -c %s "$1")" -ge "$(stat -L -c %s "$2")" ]; }; fi
}

number_at() { od -An -tu4 "-j$2" -N4 "$1" 2> /dev/null | tr -d ' '; } # FILE OFFSET

# The header of a PE file (a kernel with an EFI stub) has the size of its signatures: entry 4 of the data directories.
signatures_of() { # FILE
  header=$(number_at "$1" 60)
  [ "${header:-0}" -gt 0 ] && [ "$header" -lt 100000000 ] || return 0
  case $(od -An -tu2 "-j$((header + 24))" -N2 "$1" 2> /dev/null | tr -d ' ') in
    523) number_at "$1" $((header + 172)) ;;
    267) number_at "$1" $((header + 156)) ;;
  esac
}

# Whether somebody signed it after it was copied: it may have been signed already where it comes from.
is_signed_here() { # FILE-IN-BOOT FILE-IN-STORE
  size=$(signatures_of "$1")
  [ "${size:-0}" -gt 0 ] && [ "$size" != "$(signatures_of "$2")" ]
}

has_secure_boot() {
  for variable in /sys/firmware/efi/efivars/SecureBoot-*; do
    [ ! -e "$variable" ] || [ "$(od -An -tu1 -j4 -N1 "$variable" 2> /dev/null | tr -d ' ')" != 1 ] || return 0
  done
  return 1
}

# What the loader's own script appends to an initrd: without it, a host may be unable to open its disk.
add_initrd_secrets() { # TOPLEVEL kernel|initrd FILE
  [ "$2" != initrd ] || [ ! -x "$1/append-initrd-secrets" ] || "$1/append-initrd-secrets" "$3"
}

# What a copy that was cut off has left; directories of the store are read-only.
remove_part() { # FILE
  [ ! -e "$1" ] || { chmod -R u+w "$1"; rm -rf "$1"; }
}

# U-Boot tries no second entry, and may see a menu whose kernel a power cut has left short. NixOS's script for it skips
# files that exist: so they are put there ahead, under its names, and are on the disk before a menu can name them.
write_boot_files_ahead() { # TOPLEVEL
  [ "$(boot_loader)" = extlinux ] && [ -d /boot/nixos ] || return 0
  for part in kernel initrd dtbs; do
    source=$(readlink -f "$1/$part") && [ -e "$source" ] || continue
    file=/boot/nixos/$(echo "${source#/nix/store/}" | tr / -)
    [ ! -e "$file" ] || continue
    remove_part "$file.deploy"
    cp -r "$source" "$file.deploy" && sync_file_system "$file.deploy" && mv "$file.deploy" "$file" || {
      # No room, say: that is for the loader's own script to tell.
      remove_part "$file.deploy"
    }
  done
  sync_file_system /boot
}

# What a power cut has left empty of the menu, or full of zeros: the loader finds nothing in it. KEY FILE
damaged_menu() {
  case $(boot_loader) in
    extlinux) set -- /boot/extlinux/extlinux.conf ;;
    systemd-boot) set -- "$(system_partition)/loader/loader.conf" "$(systemd_boot_entry "$(system_partition)")" ;;
    grub) set -- /boot/grub/grub.cfg ;;
    *) return ;;
  esac
  for file; do
    [ ! -e "$file" ] || { [ -s "$file" ] && [ "$(tr -cd '\000' < "$file" | wc -c)" -eq 0 ]; } || echo "menu $file"
  done
}

# By the loader's own script, for the system in the profile: what the menu named can't be known any more.
repair_menu() {
  [ -n "$(damaged_menu)" ] && switch_is_free 10 || return 0
  rm -f "$(system_partition)/loader/loader.tmp"
  # An entry that exists is not always written again.
  damaged_menu | while read -r _ file; do
    case $file in */loader/entries/*) rm -f "$file" ;; esac
  done
  env -u NIX_REMOTE NIXOS_NO_CHECK=1 NIXOS_INSTALL_BOOTLOADER=0 timeout 300 "$(profile_system)/bin/switch-to-configuration" boot >&2
  sync_file_system /boot
}

# The files that the next boot loads and that are not what the store has of its system: KEY FILE.
# KEY is also the file's path in the system.
damaged_files() { # TOPLEVEL, the lines of its entry on standard input
  while read -r key file; do
    case $key in kernel | initrd | dtbs | dtbs/*) ;; *) continue ;; esac
    [ -e "$1/$key" ] || continue
    if ! is_whole "$file" "$1/$key"; then echo "$key $file"
    elif [ "$key" = dtbs ]; then damaged_trees "$1" "$file"; fi
  done
}

# There are a thousand and more, so they are first compared all at once. What else lies beside them is nobody's damage.
damaged_trees() { # TOPLEVEL DIRECTORY-IN-BOOT
  command -v diff > /dev/null && ! diff -rq "$1/dtbs/" "$2/" > /dev/null 2>&1 || return 0
  (cd "$1/dtbs/" && find -L . -type f) | sed 's|^\./||' | while read -r name; do
    cmp -s "$2/$name" "$1/dtbs/$name" || echo "dtbs/$name $2/$name"
  done
}

# Kernels, initrds and device trees as extlinux, systemd-boot and GRUB keep them on NixOS.
boot_files() { ls -1d /boot/nixos/* /boot/EFI/nixos/* /boot/kernels/* 2> /dev/null; }

# A loader's script that failed or was cut off half way (no room, no power) leaves its menu half written beside the real
# one, under a name that it never looks at again, and new kernels, which it takes away only when it next succeeds: with
# those in /boot there may be no room for that either. The lock of the switch keeps out whoever is putting some there.
clear_boot_leftovers() { # FILE-WITH-THE-BOOT-FILES-BEFORE
  keep_switch_lock
  (
    flock -w 10 7 || exit 0
    # NixOS's script for systemd-boot fails for ever where its temporary file exists.
    rm -f /boot/extlinux/extlinux.conf.tmp.* "$(system_partition)/loader/loader.tmp"
    # A loader whose entries can't be read may name its files elsewhere.
    [ -e "$1" ] && [ "$(boot_default)" != unknown ] || exit 0
    boot_files | grep -vxF -f "$1" | while read -r file; do
      cat /boot/extlinux/extlinux.conf /boot/loader/entries/*.conf /boot/grub/grub.cfg 2> /dev/null |
        grep -qF "${file##*/}" || remove_part "$file"
    done
  ) 7>> "$switch_lock"
}

# Compares kernel, initrd and device trees that the next boot loads with the store, and rewrites a file that differs:
# after a power cut they can be short, and the loader's own script skips files that exist. Prints what stays wrong.
check_boot_files() { # TOPLEVEL
  # Read once: the files are those of the menu that names this system, and of no other that is written meanwhile.
  entry=$(default_entry)
  [ "$(printf '%s\n' "$entry" | system_of_entry)" = "$1" ] || return 0
  still_damaged=$(printf '%s\n' "$entry" | repair_files "$1")
  if [ -z "$still_damaged" ]; then note_boot_checked "$1"; else echo "$still_damaged"; fi
}

# Rewrites what differs, and prints what stays wrong. Nobody here could sign a kernel anew.
repair_files() { # TOPLEVEL, the lines of its entry on standard input
  damaged_files "$1" | while read -r key file; do
    if [ "$key" = kernel ] && { is_signed_here "$file" "$1/$key" || has_secure_boot; }; then echo "$file"; continue; fi
    echo "rewriting $file: it differs from $1/$key" >&2
    remove_part "$file.deploy"
    mkdir -p "${file%/*}" && cp -rL "$1/$key" "$file.deploy" && add_initrd_secrets "$1" "$key" "$file.deploy" &&
      sync_file_system "$file.deploy" && mv -f "$file.deploy" "$file" && sync_file_system "$file"
    is_whole "$file" "$1/$key" || { remove_part "$file.deploy"; echo "$file"; }
  done
}

# Only a boot can bring such damage to light, and reading these files takes an SD card seconds: so they are compared
# once after each boot. The note of it is in /run, which a boot empties.
note_boot_checked() { # TOPLEVEL
  mkdir -p -m 700 "$run_directory" && echo "$1" | write_file "$run_directory/boot-checked"
} 2> /dev/null

# What is wrong with them, when they have not been compared since the boot. A deployment that is under way may be
# writing them.
unchecked_boot_files() {
  [ "$(id -u)" = 0 ] && [ -z "$(lock_holder)" ] || return 0
  damaged_menu | cut -d ' ' -f 2-
  entry=$(default_entry)
  next=$(printf '%s\n' "$entry" | system_of_entry)
  [ "$next" != unknown ] || return 0
  [ "$(cat "$run_directory/boot-checked" 2> /dev/null)" != "$next" ] || return 0
  damaged=$(printf '%s\n' "$entry" | damaged_files "$next")
  if [ -z "$damaged" ]; then note_boot_checked "$next"; else echo "$damaged" | cut -d ' ' -f 2-; fi
}

# Nobody begins a deployment meanwhile, and no other switch writes the menu. Says what is whole again: rewritten FILE
repair_boot_files() {
  enter_mutex 300 || exit 0
  [ -z "$(lock_holder)" ] || { leave_mutex; return; }
  damaged=$(unchecked_boot_files)
  repair_menu
  keep_switch_lock
  (flock -w 60 7 && check_boot_files "$(boot_default)" > /dev/null) 7>> "$switch_lock"
  left=$(unchecked_boot_files)
  printf '%s\n' "$damaged" | while read -r file; do
    [ -z "$file" ] || printf '%s\n' "$left" | grep -qxF "$file" || echo "rewritten $file"
  done
  leave_mutex
}
