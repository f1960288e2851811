/** A system as people tell it from others: eight letters of its hash, and its name. */

/** `/nix/store/3s3l4cjb…-nixos-system-dave-25.11` becomes `3s3l4cjb-nixos-system-dave-25.11`. */
export const shortSystem = (path: string): string =>
  path.replace(/^.*\/nix\/store\/([a-z0-9]{8})[a-z0-9]{24}-/, '$1-').replace(/^\/nix\/store\//, '')
