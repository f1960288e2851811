# image-kernel.sh ROOT PACKAGE: run outside a new root file system, with its apt configuration: fetches the kernel that the
# package stands for and unpacks it in /usr/lib/lab-kernel. Not installed: nothing in the root needs an initrd made.
root=$1 package=$2
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir -p "$root/usr/lib/lab-kernel"
cd "$root/usr/lib/lab-kernel"
apt-get download --quiet=2 "$(apt-cache depends --important "$package" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)"
dpkg-deb --extract linux-image-*.deb .
rm linux-image-*.deb
mv boot/vmlinuz-* Image
