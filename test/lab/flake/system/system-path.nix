# `sw`: what every user has in the path: the packages of the configuration, and what NixOS always has there, which are
# links to Debian's programs here. One that the machine lacks is a dangling link, and skipped by every shell.
{ config, make, shell }:
let
  packages = import ./packages.nix { inherit config make shell; };
  always = [
    # nix
    "nix" "nix-build" "nix-channel" "nix-collect-garbage" "nix-copy-closure" "nix-daemon" "nix-env" "nix-hash"
    "nix-instantiate" "nix-store"
    # systemd
    "bootctl" "busctl" "journalctl" "loginctl" "systemctl" "systemd-cat" "systemd-escape" "systemd-run" "systemd-tmpfiles"
    # coreutils
    "basename" "cat" "chgrp" "chmod" "chown" "cksum" "cp" "cut" "date" "dd" "df" "dirname" "du" "echo" "env" "expr"
    "false" "head" "id" "install" "link" "ln" "ls" "md5sum" "mkdir" "mkfifo" "mktemp" "mv" "nice" "nohup" "nproc" "od"
    "printenv" "printf" "pwd" "readlink" "realpath" "rm" "rmdir" "seq" "sha256sum" "sleep" "sort" "split" "stat"
    "stdbuf" "stty" "sync" "tail" "tee" "test" "timeout" "touch" "tr" "true" "truncate" "uname" "uniq" "wc" "whoami"
    # the rest of environment.defaultPackages and corePackages that scripts use
    "bash" "sh" "awk" "curl" "find" "flock" "gzip" "grep" "ip" "kill" "logger" "pgrep" "ps" "sed" "setsid" "ssh"
    "tar" "xargs" "zstd"
  ];
in
make "system-path" {
  inherit packages always;
  script = ''
    mkdir -p $out/bin $out/share
    for name in $always; do ln -s /usr/bin/$name $out/bin/$name; done
    for package in $packages; do
      for file in $package/bin/* $package/share/*; do
        [ -e $file ] || continue
        ln -sfn $file $out/''${file#$package/}
      done
    done
  '';
}
