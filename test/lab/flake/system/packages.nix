# What makes a closure larger than its configuration: filler packages, one big path, small programs.
{ config, make, shell }:
let
  inherit (config.packages) count size version;

  filler = number: make "filler-${toString number}-${version}" {
    script = ''
      mkdir -p $out/share/filler-${toString number}
      { echo 'filler ${toString number} ${version}'; seq 1 ${toString size}; } | head -c ${toString size} \
        > $out/share/filler-${toString number}/data
    '';
  };

  # Zeros cost nothing to make, and as many bytes to copy as anything else.
  big = make "big-${toString config.bigPath}-${version}" {
    script = ''
      mkdir -p $out/share/big
      { echo '${version}'; dd if=/dev/zero bs=1M count=${toString config.bigPath} 2>/dev/null; } > $out/share/big/data
    '';
  };

  program = name: text: make name {
    passAsFile = [ "text" ];
    text = "#!${shell}\n${text}\n";
    script = ''mkdir -p $out/bin; cp "$textPath" $out/bin/${name}; chmod 555 $out/bin/${name}'';
  };
in
builtins.genList (number: filler (number + 1)) count
++ (if config.bigPath == 0 then [ ] else [ big ])
++ builtins.attrValues (builtins.mapAttrs program config.programs)
