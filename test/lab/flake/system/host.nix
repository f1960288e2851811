# One host: the knobs (defaults, then hosts/NAME.nix, then its override) made into what a nixosConfiguration offers.
{ name }:
let
  merge = import ./merge.nix;
  hosts = ../hosts;
  read = ending: reader:
    let file = hosts + "/${name}.override.${ending}";
    in if builtins.pathExists file then reader file else { };

  knobs = merge
    (merge (merge (import ./defaults.nix // { inherit name; }) (import (hosts + "/${name}.nix")))
      (read "nix" import))
    (read "json" (file: builtins.fromJSON (builtins.readFile file)));

  # A specialisation inherits its parent, and has none of its own.
  systemOf = config: import ./toplevel.nix {
    config = removeAttrs config [ "specialisation" ];
    specialisations = builtins.mapAttrs
      (child: changes: systemOf (merge (removeAttrs config [ "specialisation" ]) changes))
      (config.specialisation or { });
  };

  warned = value:
    builtins.foldl' (result: warning: builtins.trace "evaluation warning: ${warning}" result) value knobs.warnings;
  # Evaluating a real configuration takes a gigabyte or two: see the README for what an element takes.
  expensive = value:
    if knobs.evaluationCost == 0 then value
    else builtins.deepSeq (builtins.genList (n: { inherit n; }) knobs.evaluationCost) value;
  checked = value:
    if knobs.broken == false then value else throw knobs.broken;

  toplevel = checked (warned (expensive (systemOf knobs)));
in
{
  config = {
    system.build.toplevel = toplevel;
    system.nixos.version = knobs.version;
    networking.hostName = knobs.hostName or name;
    nixpkgs.hostPlatform.system = checked knobs.system;
    nixpkgs.system = checked knobs.system;
  };
  pkgs = {
    stdenv.hostPlatform.system = checked knobs.system;
    system = checked knobs.system;
  };
  # Nix's command line looks for this on the result of a nixosSystem
  type = "configuration";
  inherit knobs;
}
