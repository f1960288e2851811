# A derivation whose builder and whole tool box is the static busybox that the lab puts into bb/.
{ system }:
let
  # The name has no version, so that the store path depends on the binary alone.
  # One for ARM is there when the lab has put it there.
  ofSystem = ../. + "/bb-${builtins.head (builtins.match "([^-]*)-.*" system)}";
  busybox = builtins.path { path = if builtins.pathExists ofSystem then ofSystem else ../bb; name = "busybox"; };
in
{
  inherit busybox;
  shell = "${busybox}/bin/sh";

  # name, and attributes for the builder's environment; a string `script` that makes $out
  make = name: attributes: derivation ({
    inherit name system;
    builder = "${busybox}/bin/sh";
    PATH = "${busybox}/bin";
    args = [ "-euc" attributes.script ];
  } // removeAttrs attributes [ "script" ]);
}
