# A virtual machine that stands in for a PC: UEFI, systemd-boot, a kernel of its own.
{
  motd = "otto, a NixOS of the lab";
  bootLoader = "systemd-boot";
  kernel.files = ../boot-files/otto; # put there by the lab (boot-files.mjs)
  # panic: a kernel that gives up restarts the machine
  kernelParams =
    [ "root=/dev/vda2" "console=ttyS0" "loglevel=4" "panic=10" "mitigations=off" "systemd.getty_auto=no" ];
  # minutes go by on a computer that has other things to do
  systemd.settings = { DefaultDeviceTimeoutSec = 600; DefaultTimeoutStartSec = 600; };
  # the lab logs in as root to look at it, and a user's systemd takes an emulated machine seconds
  masked = [ "user@0.service" ];
  units."boot.mount" = {
    text = ''
      [Unit]
      Description=EFI system partition

      [Mount]
      What=/dev/vda1
      Where=/boot
      Type=vfat
      Options=fmask=0077,dmask=0077
    '';
    requiredBy = [ "local-fs.target" ];
  };
  services.ticker = {
    description = "Counts seconds in /run/ticker";
    script = "n=0; while :; do n=$((n+1)); echo $n > /run/ticker; sleep 1; done";
  };
}
