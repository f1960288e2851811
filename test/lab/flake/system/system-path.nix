# `sw`: what every user has in the path. Programs that NixOS would bring along are links to Debian's.
{ config, make, shell, busybox }:
let
  packages = import ./packages.nix { inherit config make shell; };
  debian = [
    "nix" "nix-build" "nix-channel" "nix-collect-garbage" "nix-copy-closure" "nix-daemon" "nix-env" "nix-hash"
    "nix-instantiate" "nix-store" "systemctl" "systemd-run" "systemd-cat" "journalctl" "loginctl" "busctl" "bash"
    "perl" "zstd" "curl" "git"
  ];
in
make "system-path" {
  packages = packages;
  inherit debian;
  script = ''
    mkdir -p $out/bin $out/share
    for program in ${busybox}/bin/*; do ln -s $program $out/bin/; done
    for name in $debian; do rm -f $out/bin/$name; ln -s /usr/bin/$name $out/bin/$name; done
    for package in $packages; do
      for file in $package/bin/* $package/share/*; do
        [ -e $file ] || continue
        ln -sfn $file $out/''${file#$package/}
      done
    done
  '';
}
