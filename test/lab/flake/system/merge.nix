# Lays `over` on `under`, attribute set by attribute set. Everything else is replaced; null takes an attribute away.
let
  merge = under: over:
    let
      both = under // builtins.mapAttrs
        (name: value:
          if builtins.isAttrs value && builtins.isAttrs (under.${name} or null) then merge under.${name} value
          else value)
        over;
      present = builtins.filter (name: both.${name} != null) (builtins.attrNames both);
    in
    builtins.listToAttrs (map (name: { inherit name; value = both.${name}; }) present);
in
merge
