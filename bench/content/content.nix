# Packages as store paths, one derivation each. Not sandboxed: the files lie beside this, and the tools are the machine's.
let
  data = builtins.fromJSON (builtins.readFile ./packages.json);
  clean = builtins.replaceStrings [ ":" "~" ] [ "-" "-" ];
  script = ''
    PATH=/usr/bin:/bin
    mkdir $out
    cp -a $files/usr/. $out/
    chmod -R u+w $out
    # a program that needs nothing names nothing
    [ -n "$needs" ] || exit 0
    find $out -type f -size -100M | while read -r file; do
      case $(head -c 4 "$file" | tr -d '\0') in
        ?ELF) printf '\0%s\0' "$(printf '%s/lib:' $needs)" >> "$file" ;;
        '#!'*) printf '\n# %s\n' $needs >> "$file" ;;
      esac
    done
    mkdir -p $out/nix-support
    printf '%s\n' $needs > $out/nix-support/propagated-build-inputs
  '';
  make = paths: { name, version, needs }: derivation {
    name = clean "${name}-${version}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-ec" script ];
    files = "${data.directory}/files/${name}";
    needs = map (need: paths.${need}) needs;
    inherit (data) salt;
  };
  paths = builtins.listToAttrs (map (one: { inherit (one) name; value = make paths one; }) data.packages);
in derivation {
  name = "content";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-ec" "PATH=/usr/bin:/bin; mkdir $out; for path in $paths; do ln -s $path $out/; done" ];
  paths = builtins.attrValues paths;
}
