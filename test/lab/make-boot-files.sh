# make-boot-files.sh ROOT BUSYBOX DIRECTORY NAME [TOOLS]: from a root file system with a kernel in /usr/lib/lab-kernel; BUSYBOX
# is this computer's. Makes DIRECTORY/boot-files/NAME, and DIRECTORY/TOOLS with the busybox of ROOT. The initrd is a busybox,
# the drivers of a virtual machine's devices and of its file systems, and the script below.
set -eu
root=$1 busybox=$2 directory=$3 name=$4 tools=${5-}
test ! -d "$directory" || exit 0
partial=$directory.partial
rm -rf "$partial"
files=$partial/boot-files/$name
mkdir -p "$files" "$partial/initrd/bin" "$partial/initrd/drivers" \
  "$partial/initrd/dev" "$partial/initrd/proc" "$partial/initrd/sys" "$partial/initrd/root"
if [ "$tools" ]; then
  mkdir -p "$partial/$tools/bin"
  cp "$root/usr/bin/busybox" "$partial/$tools/bin/"
fi
cp "$root/usr/bin/busybox" "$partial/initrd/bin/"
cp "$root/usr/lib/lab-kernel/Image" "$files/"
drivers=$(echo "$root"/usr/lib/lab-kernel/*lib/modules/*/kernel)
[ -d "$drivers" ] || drivers=$(echo "$root"/usr/lib/lab-kernel/usr/lib/modules/*/kernel)
number=10
for driver in drivers/virtio/virtio_mmio drivers/block/virtio_blk net/core/failover drivers/net/net_failover \
  drivers/net/virtio_net drivers/char/hw_random/virtio-rng fs/fat/fat fs/nls/nls_cp437 fs/nls/nls_ascii fs/fat/vfat \
  fs/efivarfs/efivarfs; do
  # what is not there is part of the kernel itself
  [ -e "$drivers/$driver.ko.xz" ] || continue
  xz -dc "$drivers/$driver.ko.xz" > "$partial/initrd/drivers/$number-${driver##*/}.ko"
  number=$((number + 1))
done
cat > "$partial/initrd/init" <<'INIT'
#!/bin/busybox sh
alias box=/bin/busybox
box mount -t proc proc /proc
box mount -t sysfs sysfs /sys
box mount -t devtmpfs devtmpfs /dev
for driver in /drivers/*; do box insmod "$driver"; done
root= init=/lib/systemd/systemd
for word in $(box cat /proc/cmdline); do
  case $word in root=*) root=${word#root=} ;; init=*) init=${word#init=} ;; esac
done
turn=0
until [ -b "$root" ] || [ $turn -ge 100 ]; do box sleep 0.1; turn=$((turn + 1)); done
echo "stage 1: $root, $init"
box mount -t ext4 "$root" /root || { echo "no root file system"; exec /bin/busybox sleep 99999; }
# the name that every machine of the lab has for its network card
for card in /sys/class/net/*; do [ "${card##*/}" = lo ] || box ip link set "${card##*/}" name host0; done
box mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /root/run
for directory in dev proc sys; do box mount -o move /$directory /root/$directory; done
exec /bin/busybox switch_root /root "$init"
INIT
chmod 755 "$partial/initrd/init"
(cd "$partial/initrd" && find . | sort | "$busybox" cpio -o -H newc > "$files/initrd" 2> /dev/null)
rm -rf "$partial/initrd"
mv "$partial" "$directory"
