# /etc/systemd/system: one directory of unit files and the links that want them, as NixOS's generateUnits makes it.
{ config, make, shell, busybox }:
let
  serviceText = import ./service.nix { inherit shell busybox; };
  services = import ./builtin-services.nix { inherit config shell; } // config.services;
  enabled = builtins.filter (name: services.${name}.enable or true) (builtins.attrNames services);

  plain = text: { inherit text; };
  units =
    builtins.mapAttrs (_: plain) (import ./targets.nix)
    // {
      "nix-daemon.socket" = {
        text = ''
          [Unit]
          Description=Nix daemon's socket
          Before=multi-user.target
          RequiresMountsFor=/nix/store
          ConditionPathIsReadWrite=/nix/var/nix/daemon-socket

          [Socket]
          ListenStream=/nix/var/nix/daemon-socket/socket
        '';
        wantedBy = [ "sockets.target" ];
      };
    }
    // config.units
    // builtins.listToAttrs (map
      (name: {
        name = "${name}.service";
        value = {
          text = serviceText name services.${name};
          wantedBy = services.${name}.wantedBy or [ "multi-user.target" ];
          requiredBy = services.${name}.requiredBy or [ ];
        };
      })
      enabled);

  # What Debian has below /usr/lib and neither a container nor NixOS wants; ssh.* are there instead of our sshd.
  masked = [
    "ssh.service" "ssh.socket" "systemd-modules-load.service" "systemd-networkd.service" "systemd-resolved.service"
    "systemd-networkd-wait-online.service" "systemd-firstboot.service" "systemd-homed-firstboot.service"
    "console-getty.service" "container-getty@.service" "getty-static.service" "systemd-pstore.service"
    "systemd-update-utmp.service"
  ] ++ config.masked;

  concat = builtins.concatStringsSep "";
  # Store file names allow fewer characters than unit names
  fileName = unit: builtins.replaceStrings [ "@" "\\" ":" ] [ "-" "-" "-" ] "unit-${unit}";
  copy = unit: "${builtins.toFile (fileName unit) units.${unit}.text} ${unit}\n";
  wants = kind: field: unit: concat (map (by: "${by}.${kind} ${unit}\n") (units.${unit}.${field} or [ ]));
  names = builtins.attrNames units;
in
make "system-units" {
  passAsFile = [ "copies" "links" ];
  copies = concat (map copy names);
  links = concat (map (wants "wants" "wantedBy") names) + concat (map (wants "requires" "requiredBy") names);
  masks = masked;
  script = ''
    mkdir $out; cd $out
    while read -r text unit; do cat "$text" > "$unit"; done < "$copiesPath"
    while read -r directory unit; do mkdir -p "$directory"; ln -s "../$unit" "$directory/"; done < "$linksPath"
    for unit in $masks; do ln -s /dev/null "$unit"; done
    ln -s multi-user.target default.target
  '';
}
