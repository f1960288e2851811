# A builder: plain Debian with Nix, and a user who may use it.

useradd --create-home --shell /bin/bash --groups nix-users "$USER_NAME"
cat > /etc/nix/nix.conf <<CONFIG
experimental-features = nix-command flakes
build-users-group = nixbld
trusted-users = root $USER_NAME
sandbox = false
substituters =
max-jobs = 2
# emulated: see emulation.mjs
extra-platforms = aarch64-linux
CONFIG
systemctl --quiet enable nix-daemon.socket
