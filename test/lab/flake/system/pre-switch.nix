# The pre-switch checks: $1 is the new toplevel, $2 the action. The inhibitors are one of them, as on NixOS.
{ config }:
let
  inhibitors = ''
    if [ "$2" = boot ]; then exit 0; fi
    /usr/bin/perl ${../switch/inhibitors.pl} /run/current-system/switch-inhibitors "$1/switch-inhibitors"
  '';
  checks = config.preSwitchChecks // { switchInhibitors = inhibitors; };
  check = name: ''
    # pre-switch check ${name}
    (
    ${checks.${name}}
    )
    if [ $? != 0 ]; then
      echo "Pre-switch check '${name}' failed"
      exit 1
    fi
  '';
in
builtins.toFile "pre-switch-checks" (builtins.concatStringsSep "\n" (map check (builtins.attrNames checks)))
