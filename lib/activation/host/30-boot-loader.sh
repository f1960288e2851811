# What the next boot will run, read from the boot loader's own files, and whether those files are whole.
# extlinux: U-Boot on the Pi and other boards. systemd-boot: UEFI. GRUB: BIOS. Anything else is unknown.

boot_loader() {
  if [ -e /boot/extlinux/extlinux.conf ]; then echo extlinux
  elif [ -e /boot/loader/loader.conf ]; then echo systemd-boot
  elif [ -e /boot/grub/grub.cfg ]; then echo grub
  else echo unknown; fi
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
             toupper($1) == "APPEND" { $1 = ""; print "options" $0 }' ;;
    systemd-boot)
      pattern=$(awk '$1 == "default" { print $2; exit }' /boot/loader/loader.conf)
      entry=
      # The default may be a pattern, or lack the counters that boot assessment puts into the names.
      for file in /boot/loader/entries/$pattern /boot/loader/entries/${pattern%.conf}*.conf; do
        [ -e "$file" ] && entry=$file
      done
      [ -n "$entry" ] || return 0
      awk '$1 == "linux" { print "kernel /boot" $2 }
           $1 == "initrd" { print "initrd /boot" $2 }
           $1 == "options" { $1 = ""; print "options" $0 }' "$entry" ;;
    grub)
      awk '$1 == "menuentry" { entries++ }
           entries == 1 && $1 == "linux" { $1 = ""; $2 = ""; print "options" $0 }' /boot/grub/grub.cfg ;;
  esac
}

# The toplevel that the next boot runs; `unknown` when this boot loader can't be read.
boot_default() {
  found=$(default_entry | sed -n 's|^options.*init=\(/nix/store/[^/ ]*\)/init.*|\1|p' | head -n 1)
  echo "${found:-unknown}"
}

# An initrd may carry secrets behind its end, so the file in /boot must start with the one in the store.
starts_with() { # FILE-IN-BOOT FILE-IN-STORE
  head -c "$(stat -L -c %s "$2")" "$1" 2> /dev/null | cmp -s - "$2"
}

# Compares the kernel and initrd that the next boot loads with the store, and rewrites a file that differs:
# after a power cut they can be short, and the loader's own script skips files that exist.
check_boot_files() { # TOPLEVEL
  default_entry | while read -r key file; do
    case $key in kernel | initrd) ;; *) continue ;; esac
    [ -e "$1/$key" ] || continue
    starts_with "$file" "$1/$key" && continue
    echo "rewriting $file: it differs from $1/$key" >&2
    cp -L "$1/$key" "$file.deploy" && sync_file_system "$file.deploy" && mv -f "$file.deploy" "$file"
    starts_with "$file" "$1/$key" || { rm -f "$file.deploy"; echo "$file"; }
  done
}
