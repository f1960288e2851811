# The service is asked, as those ask it who will use the keys.

# With exactly this key: without the configuration, an agent or another key. Prints what ssh says.
knock() { # FILE PORT KNOWN-HOSTS LOG-LEVEL
  as_account timeout 30 ssh -F /dev/null -i "$1" -p "$2" -o IdentitiesOnly=yes -o IdentityAgent=none \
    -o BatchMode=yes -o ConnectTimeout=15 -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$3" \
    -o GlobalKnownHostsFile=/dev/null -o LogLevel="$4" "$service" nix-daemon --stdio 2>&1 > /dev/null
}

# A key with a passphrase can't sign, and is known all the same: the service says so before it asks for that.
knows() { knock "$@" DEBUG1 | grep -q '^debug1: Server accepts key'; } # FILE PORT KNOWN-HOSTS

# Whether the service accepts this key. Only what ssh itself says counts: what it runs there, and what runs it here, may
# end with any code.
accepts() { # FILE PORT KNOWN-HOSTS
  said=$(knock "$@" VERBOSE)
  code=$?
  if is_said "Authenticated to $service "; then echo "yes"
  elif is_said 'Host key verification failed'; then echo "host-key $(plain "$said")"
  elif is_said '([^ ]*: )?Permission denied'; then echo "refused"
  else echo "unreachable $(plain "${said:-no answer (exit code $code)}")"; fi
}

# At the begin of a line of ssh's own. Whoever hangs up gives a reason in words of his choice, before he has proven who he
# is: nothing after that counts.
is_said() { # EXTENDED-REGULAR-EXPRESSION
  printf '%s\n' "$said" | sed -e '/^Received disconnect/,$d' -e '/^Disconnected/,$d' | grep -qE "^$1"
}

# The same of a token, which the service looks at only after the login: it is accepted when the store answers.
accepts_token() { # FILE PORT KNOWN-HOSTS
  said=$(store_info "-F $1 -p $2 -oUser=authtoken -oPreferredAuthentications=none -oPubkeyAuthentication=no \
    -oStrictHostKeyChecking=yes -oUserKnownHostsFile=$3 -oGlobalKnownHostsFile=/dev/null -oLogLevel=VERBOSE")
  code=$?
  if [ "$code" = 0 ]; then echo "yes"
  elif is_said 'Host key verification failed'; then echo "host-key $(plain "$said")"
  elif is_said "Authenticated to $service " || is_said '([^ ]*: )?Permission denied'; then
    echo "refused $(plain "$(first_error "$said")")"
  else echo "unreachable $(plain "${said:-no answer (exit code $code)}")"; fi
}

# Of what ssh and Nix say, what the service said, which ends the connection before Nix finds that it did.
first_error() { printf '%s\n' "$1" | grep -m 1 '^error' || printf '%s\n' "$1" | tail -n 1; }

# As the account, and as ssh is told.
store_info() { # NIX_SSHOPTS
  for word in info ping; do
    said=$(as_account timeout 60 env NIX_SSHOPTS="$1 -oIdentityAgent=none -oControlPath=none -oBatchMode=yes -oConnectTimeout=15" \
      nix --extra-experimental-features nix-command store "$word" --store "ssh-ng://$service" 2>&1)
    code=$?
    # The older name.
    case $said in *'not a recogni'*) ;; *) break ;; esac
  done
  printf '%s\n' "$said"
  return $code
}

with_known_hosts() { # PORT TYPE BODY; sets known_hosts
  known_hosts=$(mktemp /run/deploy-keys.XXXXXX) || exit 73
  trap 'rm -f "$known_hosts"' EXIT
  trap 'exit 130' HUP INT TERM PIPE
  chmod 644 "$known_hosts"
  echo "$(known_name "$1") $2 $3" > "$known_hosts"
}

acceptance() { # PORT TYPE BODY SUFFIX ACCOUNT..; SUFFIX: of the file, or -
  port=$1
  with_known_hosts "$1" "$2" "$3"
  suffix=${4#-}
  shift 4
  # All at once: each answer takes its time. One write for each, so that they don't mix.
  for one; do
    (
      trap - EXIT
      enter "$one" && [ -e "$key$suffix" ] || exit 0
      if [ $kind = token ]; then answer=$(accepts_token "$key" "$port" "$known_hosts")
      else answer=$(accepts "$key$suffix" "$port" "$known_hosts"); fi
      case $suffix=$answer in
        .unusable*=refused) ! knows "$key$suffix" "$port" "$known_hosts" || answer=yes ;;
      esac
      case $kind$suffix=$answer in key=yes) remember_accepted ;; esac
      printf 'account %s\naccepted %s\n' "$account" "$answer"
    ) &
  done
  wait
  echo end
}

# So that a key that was taken out of the account can be told from one that was never in it.
remember_accepted() {
  fingerprint=$(fingerprint_of "$(public_of "$key")")
  [ "$(cat "$accepted_directory/$account" 2> /dev/null)" = "$fingerprint" ] || {
    mkdir -p -m 700 "$accepted_directory" && echo "$fingerprint" > "$accepted_directory/$account.new" &&
      mv -f "$accepted_directory/$account.new" "$accepted_directory/$account"
  } 2> /dev/null
}

tell() { # CODE OUTPUT
  if [ "$1" = 0 ]; then echo "works yes"; else echo "works no"; fi
  printf '%s\n' "$2" | tail -n 12 | while read -r line; do echo "said $(plain "$line")"; done
}

# The key by which ssh is let in as the account, through its own configuration and without an agent: fingerprint and
# file. Empty when it is not let in.
let_in_by() { # (what ssh is given)..
  as_account timeout 30 ssh -v -o IdentityAgent=none -o ControlPath=none -o BatchMode=yes -o ConnectTimeout=15 "$@" nix-daemon --stdio \
    2>&1 > /dev/null | awk '
      /Server accepts key: / {
        match($0, /SHA256:[A-Za-z0-9+\/]+/)
        key = substr($0, RSTART, RLENGTH)
        sub(/^.*Server accepts key: /, "")
        file = $1
      }
      /^Authenticated to / { print key == "" ? "none" : key " " file; exit }
    '
}

# What works by another key, or by an agent, is not shown to work by this one. Sets code and said.
by_its_own() { # FILE (what ssh is given)..
  [ "$code" = 0 ] || return 0
  file=$1
  shift
  used=$(let_in_by "$@")
  if [ $kind = token ]; then own=none; else own=$(fingerprint_of "$(public_of "$file")"); fi
  [ -z "$own" ] || [ "${used%% *}" != "$own" ] || return 0
  code=1
  said="it works, but not by $file alone: without an agent, ssh is let in by ${used:-no key}"
}

# As the account, through its own configuration: what `--store` on a command line does.
verify_store() {
  said=$(store_info '')
  code=$?
  by_its_own "$key" "$service"
  echo "way store"
  tell $code "$said"
}

# A derivation that nobody has built before, its output known beforehand: a service that trusts nobody builds it, too.
tiny_derivation() { # SYSTEM; sets nonce and expression
  nonce=$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')
  hash=$(echo "$nonce" | sha256sum | cut -d ' ' -f 1)
  expression="derivation { name = \"deploy-keys-$nonce\"; system = \"$1\"; builder = \"/bin/sh\";
    args = [ \"-c\" \"echo $nonce > \$out\" ];
    outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; outputHash = \"$hash\"; }"
}

# Built by the daemon's hook or not at all; COMMAND.. is who asks the daemon.
build_elsewhere() { # (nix-build's options)..; sets code and said
  said=$("$@" --no-out-link --max-jobs 0 --option substitute false -E "$expression" 2>&1 < /dev/null)
  code=$?
  made=$(printf '%s\n' "$said" | tail -n 1)
  if [ $code = 0 ] && [ "$(cat "$made" 2> /dev/null)" != "$nonce" ]; then code=1; fi
  drv=$(nix-store --query --deriver "$made" 2> /dev/null)
  nix-store --delete "$made" ${drv:+"$drv"} > /dev/null 2>&1
}

# The daemon's own line for the service, one that builds for SYSTEM if there is any.
builder_line() { # SYSTEM
  service_builders | awk -v own="$1" '
    NR == 1 { first = $0 }
    { n = split($2, all, ","); for (i = 1; i <= n; i++) if (all[i] == own || all[i] == "-") { print; found = 1; exit }
      if (n == 0) { print; found = 1; exit } }
    END { if (!found) print first }
  '
}

# The host key that a line of the builders pins, as Nix has it for its ssh: a file, empty where the line pins none.
pin_of_line() { # LINE FILE
  printf '%s\n' "$1" | awk '$8 != "" && $8 != "-" { print $8 }' | base64 -d > "$2" 2> /dev/null
  [ ! -s "$2" ] || sed -i "s/^/$(hook_words "$1" | tail -n 1 | sed 's/.*@//') /" "$2"
}

# For a line of the builders, one a line: the key that is to be used, then the words that the build hook gives to ssh.
hook_words() { # LINE (FILE-WITH-ITS-HOST-KEY)
  printf '%s\n' "$1" | awk -v own="$key" -v pinned="${2:-}" '{
    place = $1
    sub(/^ssh(-ng)?:\/\//, "", place)
    file = $3
    if (match(place, /[?&]ssh-key=[^&]*/)) file = substr(place, RSTART + 9, RLENGTH - 9)
    sub(/[\/?].*/, "", place)
    named = file != "" && file != "-"
    print named ? file : own
    if (named) { print "-i"; print file }
    if (pinned != "") print "-oUserKnownHostsFile=" pinned
    if (match(place, /:[0-9]+$/)) { print "-p"; print substr(place, RSTART + 1); place = substr(place, 1, RSTART - 1) }
    print place
  }'
}

# As root through the daemon, with the daemon's own line for the service if it has one.
verify_build() {
  read_settings
  system=$(setting system)
  line=$(builder_line "$system")
  if [ -z "$line" ]; then line="ssh://$service $system"; echo "configured no"; fi
  # The first system of its line, where it builds none for ourselves.
  system=$(printf '%s\n' "$line" | awk -v own="$system" '{
    n = split($2, all, ","); for (i = 1; i <= n; i++) if (all[i] == own || all[i] == "-") found = 1
    print found || n == 0 ? own : all[1] }')
  tiny_derivation "$system"
  build_elsewhere env NIX_REMOTE=daemon HOME="${HOME:-/root}" timeout 180 nix-build --builders "$line"
  pinned=$(mktemp /run/deploy-keys.XXXXXX) || exit 73
  trap 'rm -f "$pinned"' EXIT
  trap 'exit 130' HUP INT TERM PIPE
  chmod 644 "$pinned"
  pin_of_line "$line" "$pinned"
  words=$(hook_words "$line" "$([ ! -s "$pinned" ] || echo "$pinned")")
  set -f
  IFS='
'
  by_its_own $words
  unset IFS
  set +f
  rm -f "$pinned"
  echo "way build"
  tell $code "$said"
}

# As a user who rebuilds the system here with --max-jobs 0: whatever the daemon's own configuration makes of it.
verify_local_rebuild() {
  read_settings
  tiny_derivation "$(setting system)"
  build_elsewhere as_account env NIX_REMOTE=daemon timeout 180 nix-build
  echo "way local-rebuild"
  printf '%s\n' "$said" | sed -n "s/^building .* on '\(.*\)'.*/on \1/p"
  tell $code "$said"
}

verify() { # WAY..; each is ACCOUNT=WAY
  for one; do
    enter "${one%=*}" || continue
    echo "account $account"
    case ${one##*=} in
      build) verify_build ;;
      store) verify_store ;;
      local-rebuild) verify_local_rebuild ;;
    esac
  done
  echo end
}
