# The control machine: Node and OpenSSH, no Nix (but for the workstation). The repository is mounted at /opt/deploy.

useradd --create-home --shell /bin/bash "$USER_NAME"
ln -s /opt/deploy/bin/deploy /usr/local/bin/deploy
home=$(getent passwd "$USER_NAME" | cut -d: -f6)
install -d -m 700 "$home/.ssh"
printf '%s\n' "$CONTROL_KEY" > "$home/.ssh/id_ed25519"
chmod 600 "$home/.ssh/id_ed25519"
printf '%s\n' "$CONTROL_PUBLIC_KEY" > "$home/.ssh/id_ed25519.pub"
printf '%s\n' "$KNOWN_HOSTS" > "$home/.ssh/known_hosts"
cat > "$home/.ssh/config" <<'CONFIG'
Host forge
  HostName forge.lab
  User builder
Host dave erin frank grace pi otto
  HostName %h.lab
  User my_username
CONFIG
git config --file "$home/.gitconfig" user.name "$USER_NAME"
git config --file "$home/.gitconfig" user.email "$USER_NAME@control.lab"
git config --file "$home/.gitconfig" init.defaultBranch main
chown -R "$USER_NAME:" "$home"
if command -v nix > /dev/null; then
  cat > /etc/nix/nix.conf <<CONFIG
experimental-features = nix-command flakes
build-users-group = nixbld
trusted-users = root $USER_NAME
sandbox = false
substituters =
CONFIG
  usermod --append --groups nix-users "$USER_NAME"
  systemctl --quiet enable nix-daemon.socket
else
  systemctl --quiet enable cron.service
fi
