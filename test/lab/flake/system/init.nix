# `init`: what the boot loader's APPEND names and the lab executes as PID 1. The machine's file systems are there.
{ shell, busybox }:
''
  #!${shell}
  # stage 2 of the boot of @out@
  export PATH=${busybox}/bin
  systemConfig=@out@
  echo "<<< NixOS stage 2: $systemConfig >>>"

  case ",$(while read -r _ at _ options _; do [ "$at" = /nix/store ] && echo "$options"; done < /proc/mounts | tail -n 1)," in
    *,ro,*) ;;
    *) mount -o bind /nix/store /nix/store && mount -o remount,ro,bind /nix/store || echo "/nix/store stays writable" ;;
  esac

  # The name of this machine for journal and D-Bus; without one systemd would take this for its very first boot
  [ -s /etc/machine-id ] || /usr/bin/systemd-machine-id-setup

  "$systemConfig/activate" || echo "activation failed at boot"
  ln -sfn "$systemConfig" /run/booted-system

  echo "starting systemd..."
  exec /lib/systemd/systemd "$@"
''
