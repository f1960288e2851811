# Kernel, initrd and modules: files that only the lab's boot loader reads, where each ends in a line that shows it is whole;
# or real ones.
{ config, make }:
let
  inherit (config.kernel) version size;
  files = config.kernel.files or null;
  end = if config.kernel.isDead or false then "panics" else "end of kernel";
  real = name: "${builtins.path { path = files; name = "boot-files"; }}/${name}";
  made = first: end: "{ echo '${first}'; seq 1 ${toString size} | head -c ${toString size}; echo; echo '${end}'; }";
  shorten = if config.kernel ? bytes then "head -c ${toString config.kernel.bytes}" else "cat";
in
{
  kernel = make "linux-${version}" {
    script = if files != null then "mkdir $out; ${shorten} ${real "Image"} > $out/Image"
      else "mkdir $out; ${made "linux ${version}" end} > $out/Image";
  };
  initrd = make "initrd-linux-${version}" {
    script = if files != null then "mkdir $out; cat ${real "initrd"} > $out/initrd"
      else "mkdir $out; ${made "initrd of linux ${version}" "end of initrd"} > $out/initrd";
  };
  modules = make "kernel-modules-${version}" {
    script = "mkdir -p $out/lib/modules/${version}; echo none > $out/lib/modules/${version}/modules.order";
  };
}
