# This program runs on the host, as root, in whatever /bin/sh is there. Its parts are put together by
# lib/activation/host-program.ts. Nothing of it is installed: it lives in /run while a deployment is under way.
set -u
umask 022
export LC_ALL=C
# The tools of the system that ran before come first, so that they stay the same while the systems change.
PATH="${DEPLOY_TOOLS:-/run/current-system}/sw/bin:/run/current-system/sw/bin:/run/wrappers/bin:/nix/var/nix/profiles/default/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export PATH
export HOME="${HOME:-/root}"
unset SYSTEMD_PAGER PAGER
# On a disk that became read-only, Nix would ask its daemon, which would ask itself, until there is no memory left.
export NIX_REMOTE=local

# What a result says beside its reason: what could be tried, and which units are not as they were.
advice=
worse=

run_directory=/run/deploy
state_directory=/var/lib/deploy
newline='
'
system_profile=/nix/var/nix/profiles/system
# What a deployment that reboots needs after the boot (65-reboot.sh).
pending_directory=$state_directory/pending
lasting_units=/etc/systemd/system.control

# Centiseconds since the boot: a clock that nobody sets.
uptime_cs() {
  read -r uptime_now _ < /proc/uptime
  echo "${uptime_now%.*}${uptime_now#*.}"
}

boot_id() { cat /proc/sys/kernel/random/boot_id; }

timestamp() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# One line without anything that would need escaping in JSON or in our own lines.
plain() { printf '%s' "$*" | tr '\n\t"\\' "    " | tr -cd '[:print:]' | cut -c 1-500; }

# The whole number that a file holds; nothing when it holds anything else.
number_in() { # FILE
  number=$(head -c 16 "$1" 2> /dev/null | tr -d '\000')
  case $number in '' | 0?* | *[!0-9]*) ;; *) echo "$number" ;; esac
}

# Replaces a file in one step: its readers see the old content or the new one.
write_file() { # FILE, content on standard input
  content=$(cat)
  if { put_content "$1.new" || { free_reserve && put_content "$1.new"; }; } && mv -f "$1.new" "$1"; then return; fi
  rm -f "$1.new"
  return 1
}
put_content() { printf '%s\n' "$content" > "$1"; }

# /run is memory, and may be full by the time at which something has to be written there: room for states, a verdict and
# what a switch prints, and a last one for the result.
reserve=$run_directory/.reserve
reserve_room() { head -c 131072 /dev/zero > "$reserve" && head -c 8192 /dev/zero > "$reserve-last"; }
free_reserve() { [ -e "$reserve" ] && rm -f "$reserve"; }
free_last_room() { rm -f "$reserve-last"; }

# Writes a file system's dirty pages back; all file systems where that is unknown.
sync_file_system() { # ANY-PATH-ON-IT
  sync -f "$1" 2> /dev/null || sync
}
