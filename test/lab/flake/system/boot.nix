# Kernel, device trees, initrd and modules: files that only the lab's boot loader reads, where each ends in a line that shows it is whole;
# or real ones.
{ config, make }:
let
  inherit (config.kernel) version size;
  files = config.kernel.files or null;
  end = if config.kernel.isDead or false then "panics" else "end of kernel";
  real = name: "${builtins.path { path = files; name = "boot-files"; }}/${name}";
  made = first: end: "{ echo '${first}'; seq 1 ${toString size} | head -c ${toString size}; echo; echo '${end}'; }";
  tree = "broadcom/bcm2711-rpi-4-b.dtb";
  deviceTree = "{ echo 'device tree of linux ${version}'; echo 'end of device tree'; }";
  # files behind the end of an initrd win over those in it, and a kernel whose first process ends panics
  ending = if !(config.kernel.isDead or false) then ""
    else "mkdir end; printf '#!/bin/busybox sh\\n' > end/init; chmod 755 end/init; (cd end; echo init | cpio -o -H newc) >> $out/initrd";
  shorten = if config.kernel ? bytes then "head -c ${toString config.kernel.bytes}" else "cat";
in
{
  kernel = make "linux-${version}" {
    script = if files != null then "mkdir $out; ${shorten} ${real "Image"} > $out/Image"
      else "mkdir -p $out/dtbs/broadcom; ${made "linux ${version}" end} > $out/Image; ${deviceTree} > $out/dtbs/${tree}";
  };
  initrd = make "initrd-linux-${version}" {
    script = if files != null then "mkdir $out; cat ${real "initrd"} > $out/initrd; ${ending}"
      else "mkdir $out; ${made "initrd of linux ${version}" "end of initrd"} > $out/initrd";
  };
  modules = make "kernel-modules-${version}" {
    script = "mkdir -p $out/lib/modules/${version}; echo none > $out/lib/modules/${version}/modules.order";
  };
}
