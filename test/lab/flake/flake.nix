{
  description = "a small NixOS of the lab's own: the layout and the rules of the real one, without nixpkgs";

  outputs = { self }:
    let
      # dave.nix is a host; dave.override.json and dave.override.nix are not
      nameOf = file: builtins.match "([a-z0-9-]+)[.]nix" file;
      files = builtins.filter (file: nameOf file != null) (builtins.attrNames (builtins.readDir ./hosts));
      host = file: rec {
        name = builtins.head (nameOf file);
        value = import ./system/host.nix { inherit name; };
      };
    in
    { nixosConfigurations = builtins.listToAttrs (map host files); };
}
