# The /etc of a configuration: links to single files, so that a file's path changes only with its contents.
{ config, make, shell, busybox }:
let
  name = config.hostName or config.name;
  units = import ./units.nix { inherit config make shell busybox; };

  text = value: if value == true then "true" else if value == false then "false" else toString value;
  settings = separator: set: builtins.concatStringsSep ""
    (builtins.attrValues (builtins.mapAttrs (key: value: "${key}${separator}${text value}\n") set));

  nix = {
    build-users-group = "nixbld";
    experimental-features = "nix-command flakes";
    require-sigs = true;
    sandbox = false;
    substituters = "";
    trusted-users = "root";
  } // config.nix.settings;

  files = {
    hostname = "${name}\n";
    motd = "${config.motd}\n";
    "nix/nix.conf" = settings " = " nix;
    os-release = ''
      ID=nixos
      NAME=NixOS
      PRETTY_NAME="NixOS ${config.version} (lab)"
      VERSION_ID="${builtins.substring 0 5 config.version}"
    '';
    "ssh/sshd_config.d/10-nixos.conf" = settings " " config.sshd.settings;
    "systemd/system.conf" = "[Manager]\n" + settings "=" config.systemd.settings;
    "default/locale" = "LANG=C.UTF-8\n";
    # Debian closes the socket's directory to most users, NixOS doesn't
    "tmpfiles.d/nix-daemon.conf" = "d /nix/var/nix/daemon-socket 0755 root root - -\n";
  } // config.etc // (if config.generated then { generated = builtins.readFile generated; } else { });
  generated = make "generated" { script = "echo generated > $out"; };

  fileName = path: "etc-" + builtins.replaceStrings [ "/" ] [ "-" ] path;
  entry = path: "${builtins.toFile (fileName path) files.${path}} ${path}\n";
in
make "etc" {
  passAsFile = [ "entries" ];
  entries = builtins.concatStringsSep "" (map entry (builtins.attrNames files)) + "${units} systemd/system\n";
  script = ''
    mkdir -p $out/etc; cd $out/etc
    while read -r source target; do
      mkdir -p "$(dirname "$target")"
      ln -s "$source" "$target"
    done < "$entriesPath"
  '';
}
