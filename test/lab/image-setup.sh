# Run in a new root file system, once: what every machine made of it has in common.

# host keys belong to a machine
rm -f /etc/ssh/ssh_host_*

# nothing may happen by itself on a machine whose processes a test counts, and a container has no modules to load
rm -rf /etc/systemd/system/timers.target.wants
for unit in systemd-modules-load.service systemd-networkd.service systemd-resolved.service getty@tty1.service \
  console-getty.service e2scrub_reap.service systemd-networkd-wait-online.service systemd-timesyncd.service; do
  rm -f /etc/systemd/system/*.wants/$unit /usr/lib/systemd/system/*.wants/$unit /lib/systemd/system/*.wants/$unit
done

cat > /etc/ssh/sshd_config.d/lab.conf <<'CONFIG'
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
CONFIG

# the address is the machine's own business, as on any computer: only the network card is put in from outside
cat > /etc/systemd/system/lab-address.service <<'UNIT'
[Unit]
Description=Address on the lab's network
DefaultDependencies=no
Before=network.target ssh.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip link set lo up; ip address replace "$$(cat /etc/lab-address)" dev host0; ip link set host0 up'

[Install]
WantedBy=sysinit.target
UNIT

systemctl --quiet enable ssh.service lab-address.service
rm -f /etc/motd
