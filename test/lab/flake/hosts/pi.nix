# A virtual machine that stands in for a Raspberry Pi: 64-bit ARM, a kernel of its own, booted by U-Boot.
{
  motd = "pi, a NixOS of the lab";
  system = "aarch64-linux";
  kernel.files = ../boot-files/pi; # put there by the lab (boot-files.mjs)
  kernelParams = [ "root=/dev/vda1" "console=ttyAMA0" "loglevel=4" "systemd.getty_auto=no" ];
  # the lab logs in as root to look at it, and a user's systemd takes an emulated machine seconds
  masked = [ "user@0.service" ];
  services.ticker = {
    description = "Counts seconds in /run/ticker";
    script = "n=0; while :; do n=$((n+1)); echo $n > /run/ticker; sleep 1; done";
  };
}
