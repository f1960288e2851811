# A host, as a headless Pi is usually set up: an ordinary user with passwordless sudo, who isn't trusted by Nix.

useradd --create-home --shell /bin/bash "$USER_NAME"
usermod --append --groups sudo "$USER_NAME"
echo "$USER_NAME ALL=(ALL:ALL) NOPASSWD: ALL" > /etc/sudoers.d/lab
chmod 440 /etc/sudoers.d/lab
cat > /etc/nix/nix.conf <<'CONFIG'
experimental-features = nix-command flakes
build-users-group = nixbld
sandbox = false
substituters =
CONFIG
systemctl --quiet enable nix-daemon.socket
