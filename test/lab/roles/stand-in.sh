# The stand-in for nixbuild.net: its files are in test/lab/stand-in, which says what it does.

state=/var/lib/nixbuild-stand-in
programs=/usr/local/lib/nixbuild-stand-in
chmod 755 $programs/*

# without PAM, sshd takes an account without a password for a locked one
useradd --create-home --shell /bin/bash --password '*' "$USER_NAME"
useradd --system --uid 900 --gid nix-users --home-dir $state --shell /bin/sh --password '*' account
useradd --system --uid 900 --non-unique --gid nix-users --home-dir $state --shell /bin/sh --password '' authtoken
install -d -o account -g nix-users -m 700 $state
printf '%s\n' "$REGISTERED_KEY" > $state/ssh-keys
: > $state/tokens
printf '%s\n' "$SIGNING_KEY" > /etc/nix/signing-key
printf '%s\n' "$SIGNING_PUBLIC_KEY" > $state/signing-key.pub
chmod 600 $state/* /etc/nix/signing-key
chown -R account:nix-users $state

cat > /etc/nix/nix.conf <<'CONFIG'
build-users-group = nixbld
trusted-users = root
sandbox = false
substituters =
max-jobs = 2
secret-key-files = /etc/nix/signing-key
CONFIG

# Who builds by the older protocol sends derivations without their inputs' derivations, which Nix takes from trusted users
# alone; whoever comes by the newer one is trusted with nothing.
mkdir /etc/nix-trusting
sed 's/^trusted-users.*/trusted-users = root account/' /etc/nix/nix.conf > /etc/nix-trusting/nix.conf
cat > /etc/systemd/system/nix-daemon-trusting.service <<'UNIT'
[Unit]
Description=Nix daemon of the stand-in for nixbuild.net that trusts its account

[Service]
Environment=NIX_CONF_DIR=/etc/nix-trusting NIX_DAEMON_SOCKET_PATH=/run/nix-trusting/socket
RuntimeDirectory=nix-trusting
ExecStart=/usr/bin/nix-daemon

[Install]
WantedBy=multi-user.target
UNIT

cat > /etc/systemd/system/nixbuild-stand-in-names.service <<'UNIT'
[Unit]
Description=User names of the stand-in for nixbuild.net
Before=ssh.service

[Service]
ExecStart=/usr/local/lib/nixbuild-stand-in/names

[Install]
WantedBy=multi-user.target
UNIT
printf 'lhs=.ns\nrhs=.stand-in\nclasses=IN\n' > /etc/hesiod.conf
printf 'nameserver 127.0.0.1\noptions timeout:1\n' > /etc/resolv.conf
sed -i 's/^passwd:.*/passwd: files hesiod/' /etc/nsswitch.conf
systemctl --quiet enable nix-daemon.socket nix-daemon-trusting.service nixbuild-stand-in-names.service

cat > /etc/ssh/sshd_config.d/stand-in.conf <<CONFIG
Port 22
Port 2223
UsePAM no
StrictModes no
PubkeyAcceptedAlgorithms ssh-ed25519
DisableForwarding yes
MaxSessions 1
PerSourcePenalties no
ExposeAuthInfo yes
AcceptEnv NIXBUILDNET_* token
Match User $USER_NAME
  PermitTTY yes
Match User authtoken
  PasswordAuthentication yes
  PermitEmptyPasswords yes
  PubkeyAuthentication no
Match User *,!$USER_NAME
  PermitTTY no
  AuthorizedKeysFile $state/ssh-keys
  ForceCommand $programs/command
CONFIG
