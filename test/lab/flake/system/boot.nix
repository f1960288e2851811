# Kernel, initrd and modules: files that only the lab's boot loader reads. Each ends in a line that shows it is whole.
{ config, make }:
let
  inherit (config.kernel) version size;
  isDead = config.kernel.isDead or false;
  file = what: first: end: ''
    { echo '${first}'; seq 1 ${toString size} | head -c ${toString size}; echo; echo '${end}'; } > ${what}
  '';
in
{
  kernel = make "linux-${version}" {
    script = "mkdir $out; ${file "$out/Image" "linux ${version}" (if isDead then "panics" else "end of kernel")}";
  };
  initrd = make "initrd-linux-${version}" {
    script = "mkdir $out; ${file "$out/initrd" "initrd of linux ${version}" "end of initrd"}";
  };
  modules = make "kernel-modules-${version}" {
    script = "mkdir -p $out/lib/modules/${version}; echo none > $out/lib/modules/${version}/modules.order";
  };
}
