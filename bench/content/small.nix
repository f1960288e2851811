# Many small paths of real files: each has a few of them, and refers to the one before in its group of ten.
let
  data = builtins.fromJSON (builtins.readFile ./packages.json);
  script = ''
    PATH=/usr/bin:/bin
    mkdir $out
    cd $files
    cp -P $names $out/
    if [ -n "$before" ]; then echo "$before" > $out/reference; fi
  '';
  make = index: derivation {
    name = "small-${toString index}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-ec" script ];
    files = "${data.directory}/files";
    names = builtins.elemAt data.groups index;
    before = if index / 10 * 10 == index then "" else make (index - 1);
    inherit (data) salt;
  };
in derivation {
  name = "content";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-ec" "PATH=/usr/bin:/bin; mkdir $out; i=0; for path in $paths; do ln -s $path $out/$i; i=$((i + 1)); done" ];
  paths = builtins.genList make (builtins.length data.groups);
}
