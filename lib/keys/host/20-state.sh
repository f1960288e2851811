# What is there, as `KEY VALUE`; read by lib/keys/state.ts. Nothing is changed, and nobody else is asked.

# The public half, if the private key can be loaded as it is and without a passphrase. A pipe, because ssh-keygen looks
# at the modes of a file, which are told apart from its contents here.
public_of() { # FILE
  [ -f "$1" ] || return 0
  as_account cat "$1" 2> /dev/null | ssh-keygen -y -P '' -f /dev/stdin 2> /dev/null
}

# That of a key with a passphrase, which stands in its file unlocked, but for the comment: that is beside it, if anywhere.
locked_public_of() { # FILE
  [ -f "$1" ] || return 0
  unlocked=$(unlocked_half_of "$1")
  beside=$([ ! -f "$1.pub" ] || as_account head -n 1 "$1.pub" 2> /dev/null)
  case $beside in "$unlocked "*) echo "$beside" ;; *) [ -z "$unlocked" ] || echo "$unlocked" ;; esac
}
unlocked_half_of() { # FILE
  as_account ssh-keygen -e -f "$1" 2> /dev/null | ssh-keygen -i -f /dev/stdin 2> /dev/null
}

fingerprint_of() { # PUBLIC-KEY
  printf '%s\n' "$1" | ssh-keygen -lf /dev/stdin 2> /dev/null | cut -d ' ' -f 2
}

form_of() { # FILE
  case $(public_of "$1") in
    ssh-ed25519\ *) echo ok; return ;;
    ?*) echo other-type; return ;;
  esac
  # Whoever reads a pipe waits for ever.
  [ -f "$1" ] || { echo no-key; return; }
  as_account test -r "$1" || { echo unreadable; return; }
  as_account head -n 1 "$1" | grep -q '^-----BEGIN .*PRIVATE KEY-----' || { echo no-key; return; }
  # The format of OpenSSH begins with its name, then that of the cipher.
  case $(as_account sed -e 1d -e '/^-/d' "$1" | tr -d '\r\n' | base64 -d 2> /dev/null | head -c 64 | tr -cd ' -~') in
    openssh-key-v1none*) ;;
    openssh-key-v1*) echo passphrase; return ;;
  esac
  if as_account cat "$1" | grep -q "$(printf '\r')"; then echo line-ends
  elif [ "$(as_account tail -c 1 "$1" | od -An -tx1 | tr -d ' ')" != 0a ]; then echo no-final-newline
  else echo no-key; fi
}

describe_token() {
  [ -e "$key" ] || { echo "form missing"; return; }
  echo "mode $(stat -c %a "$key")"
  echo "owner $(stat -c %U "$key")"
  if [ -n "$secret" ]; then echo "form ok"; else echo "form no-token"; fi
}

describe_key() {
  if [ -L "$key" ]; then echo "link $(plain "$(readlink -f "$key")")"; fi
  [ ! -e "$key.next" ] || echo "rotating next"
  [ ! -e "$key.old" ] || echo "rotating old"
  [ -e "$key" ] || { echo "form missing"; return; }
  echo "mode $(stat -Lc %a "$key")"
  echo "owner $(stat -Lc %U "$key")"
  case $(stat -fLc %T "$home/.ssh") in tmpfs | ramfs) echo "volatile yes" ;; esac
  form=$(form_of "$key")
  echo "form $form"
  [ "$form" = ok ] || return 0
  public=$(public_of "$key")
  echo "public $(plain "$public")"
  fingerprint=$(fingerprint_of "$public")
  echo "fingerprint $fingerprint"
  [ "$(cat "$accepted_directory/$account" 2> /dev/null)" != "$fingerprint" ] || echo "accepted-before yes"
}

# Whether our block has no `Match all` at its end, and so takes in what follows it.
block_is_open() {
  [ -f "$home/.ssh/config" ] && as_account cat "$home/.ssh/config" 2> /dev/null | awk -v begins="$begins" -v ends="$ends" '
    $0 == begins { open = 1; next }
    open && tolower($0) ~ /^[ \t]*match[ \t]+all[ \t]*$/ { open = 0 }
    $0 == ends { after = open; next }
    after && NF > 0 && $1 !~ /^#/ { found = 1 }
    END { exit !found }
  '
}

# The configuration of ssh as this account's ssh reads it, for the name that Nix gives it.
describe_configuration() { # TYPE BODY
  if ! configuration=$(as_account timeout 20 ssh -G "$service" 2>&1); then
    echo "configuration-error $(plain "$configuration")"
    return 0
  fi
  printf '%s\n' "$configuration" | identities
  printf '%s\n' "$configuration" | awk '
    $1 == "identitiesonly" { print "identities-only " $2 }
    $1 == "serveraliveinterval" { print "alive " $2 }
    # OpenSSH 10 prints it so: it has no other meaning there.
    $1 == "ipqos" { print "ipqos " ($2 == "none" ? "throughput" : $2) }
    $1 == "port" { print "port " $2 }
    $1 == "user" { print "login " $2 }
    $1 == "preferredauthentications" { print "authentications " $2 }
    $1 == "setenv" && $2 ~ /^NIXBUILDNET_TOKEN=/ { print "sends-token yes" }
  '
  for file in "$home/.ssh/config" /etc/ssh/ssh_config; do
    [ ! -f "$file" ] || as_account awk -v service="$service" '
      tolower($1) == "host" { patterns = $0; sub(/^[^ \t]*[ \t]+/, "", patterns) }
      tolower($1) == "hostname" && tolower($2) == service { print "alias " patterns }
    ' "$file" 2> /dev/null
  done
  if block_is_open; then echo "block open"; fi
  if is_in_store "$home/.ssh/config"; then echo "configuration-rule store"; fi
  describe_host_keys "$1" "$2"
}

# The keys that ssh offers, in that order; its answer on standard input.
identities() {
  awk -v home="$home" '$1 == "identityfile" { path = substr($0, 14); sub(/^~\//, home "/", path); print "identity " path }'
}

# Where this account's ssh looks for the service's host key, and what is there.
describe_host_keys() { # TYPE BODY; configuration is set
  name=$(known_name "$(printf '%s\n' "$configuration" | awk '$1 == "port" { print $2 }')")
  for file in $(printf '%s\n' "$configuration" | sed -n 's/^userknownhostsfile //p; s/^globalknownhostsfile //p'); do
    case $file in '~/'*) file=$home/${file#'~/'} ;; esac
    echo "known-hosts-file $file"
    as_account ssh-keygen -F "$name" -f "$file" 2> /dev/null | awk -v type="$1" -v body="$2" -v file="$file" '
      /^[#@]/ { next }
      $2 == type && $3 == body { print "pinned " file; next }
      $2 == type { print "other-host-key " file }
    '
  done
}

# The builders that the daemon has: lines of a machines file, whether named by it or written into nix.conf.
builder_lines() {
  printf '%s\n' "$settings" | sed -n 's/^builders = //p' | tr ';' '\n' | while read -r line; do
    case $line in
      @*) cat "${line#@}" 2> /dev/null | tr ';' '\n' ;;
      *) printf '%s\n' "$line" ;;
    esac
  done | sed -e 's/#.*//' -e 's/^[[:space:]]*//' | grep .
}

# Of those, the ones that lead to the service, whatever name they give it.
service_builders() {
  builder_lines | while read -r line; do
    place=${line%%[[:space:]]*}
    place=${place#ssh://}; place=${place#ssh-ng://}; place=${place%%\?*}; place=${place%%/*}; place=${place#*@}
    case $place in
      "$service" | "$service":*) printf '%s\n' "$line" ;;
      '' | -* | *[!A-Za-z0-9._:-]*) ;;
      *) ! ssh -G "$place" 2> /dev/null < /dev/null | grep -qxF "hostname $service" || printf '%s\n' "$line" ;;
    esac
  done
}

read_settings() {
  settings=$(nix --extra-experimental-features nix-command config show 2> /dev/null < /dev/null) ||
    settings=$(nix --extra-experimental-features nix-command show-config 2> /dev/null < /dev/null) || settings=
}

setting() { printf '%s\n' "$settings" | sed -n "s/^$1 = //p"; }

describe_machine() { # TYPE BODY
  read_settings
  echo "system $(setting system)"
  service_builders | while read -r line; do echo "builder $(plain "$line")"; done
  if enter root && configuration=$(as_account ssh -G "$service" 2> /dev/null); then
    printf '%s\n' "$configuration" | identities | sed 's/^/root-/'
    describe_host_keys "$1" "$2" | sed -n -e 's/^pinned /root-pinned /p' -e 's/^other-host-key /root-other-host-key /p'
  fi
  for store in $(setting substituters) $(setting extra-substituters); do
    case $store in *"$service"*) echo "substituter $(plain "$store")" ;; esac
  done
  if is_in_store /etc/ssh/ssh_config; then echo "system-rule store"; fi
  if [ -e /etc/NIXOS ]; then echo "nixos yes"; fi
}

state() { # TYPE BODY ACCOUNT..
  type=$1 body=$2
  shift 2
  for one; do
    echo "account ${one%=token}"
    if ! enter "$one"; then echo "form no-account"; continue; fi
    echo "kind $kind"
    echo "home $home"
    echo "file $key"
    if [ $kind = token ]; then describe_token; else describe_key; fi
    describe_configuration "$type" "$body"
  done
  echo "machine"
  describe_machine "$type" "$body"
  echo "end"
}
