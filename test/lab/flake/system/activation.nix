# The activation script. As on NixOS a failing command doesn't end it: it is noted, the rest still runs, the
# configuration still becomes the current one, and the exit code says 1. Only `exit` in a snippet ends it early.
{ config, etc }:
let
  own = {
    etc = { text = "${../activation}/setup-etc ${etc}/etc"; };
    hostname = { text = "/bin/hostname ${config.hostName or config.name}"; };
    wrappers = {
      text = ''
        mkdir -p /run/wrappers/bin
        for program in sudo su mount umount; do ln -sfn /usr/bin/$program /run/wrappers/bin/$program; done
      '';
    };
    var = { text = "mkdir -m 1777 -p /var/tmp"; };
  };
  entry = value: { deps = [ ]; supportsDryActivation = false; } // (if builtins.isString value then { text = value; } else value);
  snippets = builtins.mapAttrs (_: entry) (own // config.activationScripts);

  # In order of name, each after what it depends on
  after = done: name:
    if builtins.elem name done then done
    else builtins.foldl' after done snippets.${name}.deps ++ [ name ];
  ordered = builtins.foldl' after [ ] (builtins.attrNames snippets);

  snippet = name: ''
    #### Activation script snippet ${name}:
    _localstatus=0
    ${snippets.${name}.text}

    if (( _localstatus > 0 )); then
      printf "Activation script snippet '%s' failed (%s)\n" "${name}" "$_localstatus"
    fi

  '';
  body = names: builtins.concatStringsSep "" (map snippet names);
  start = ''
    #!/bin/bash
    systemConfig=@out@
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    _status=0
    trap "_status=1 _localstatus=\$?" ERR
    umask 0022

  '';
in
{
  activate = start + body ordered + ''
    # This configuration is the current one from here on, and cannot be collected.
    ln -sfn "$(readlink -f "$systemConfig")" /run/current-system
    mkdir -p /nix/var/nix/gcroots
    ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
    ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system

    exit $_status
  '';
  dryActivate = start
    + body (builtins.filter (name: snippets.${name}.supportsDryActivation) ordered)
    + "exit $_status\n";
}
