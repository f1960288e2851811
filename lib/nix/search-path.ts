/** For /bin/sh: Nix may be outside the search path of a shell that is no login shell (a multi-user installation elsewhere). */
export const searchPath =
  'PATH=$PATH:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin'
