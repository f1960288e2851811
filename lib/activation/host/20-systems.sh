# What runs, what is in the profile.

# Where a link leads to in the end; nothing when it isn't there (some readlinks then print its own name).
target_of() { [ -e "$1" ] && readlink -f "$1"; }
running_system() { target_of /run/current-system; }
booted_system() { target_of /run/booted-system; }
profile_system() { target_of "$system_profile"; }

# What of a system only a boot brings, and this boot has not brought: kernel, initrd, kernel-modules, a line each.
stale_parts() { # SYSTEM
  for part in kernel initrd kernel-modules; do
    [ "$(readlink -f "$1/$part")" = "$(readlink -f "/run/booted-system/$part")" ] || echo "$part"
  done
}

# The number of the generation the profile is at; empty without one.
profile_generation() {
  link=$(readlink "$system_profile" 2> /dev/null) || return 0
  link=${link##*/}
  link=${link#system-}
  printf '%s' "${link%-link}"
}

# A line for each generation: NUMBER SECONDS-SINCE-1970 PATH
generations() {
  for link in "$system_profile"-*-link; do
    [ -L "$link" ] || continue
    number=${link#"$system_profile"-}
    echo "${number%-link} $(stat -c %Y "$link" 2> /dev/null || echo 0) $(readlink "$link")"
  done | sort -n
}

set_profile() { nix-env -p "$system_profile" --set "$1"; }

# Puts the profile back to the generation it was at, and takes away the one that was made for this deployment:
# `nix-env --set` goes to an older generation of the same system when that is the newest one. A generation that a
# garbage collection deleted meanwhile (`nix-collect-garbage -d` spares only the one that the profile is at) comes back.
reset_profile() { # GENERATION-LINK-OR-EMPTY ITS-SYSTEM
  if [ "$(readlink "$system_profile" 2> /dev/null)" != "$1" ]; then
    if [ -z "$1" ]; then
      rm -f "$system_profile"
    else
      [ -L "${system_profile%/*}/$1" ] || ln -s "$2" "${system_profile%/*}/$1" || return 1
      ln -sfn "$1" "$system_profile.deploy" && mv -fT "$system_profile.deploy" "$system_profile" || return 1
    fi
  fi
  # Also by whoever comes after a process that was killed right here.
  [ -s "$here/profiles" ] || return 0
  for link in "$system_profile"-*-link; do
    [ "$(readlink "$link")" != "$toplevel" ] || grep -qx "${link##*/}" "$here/profiles" || rm -f "$link"
  done
}
