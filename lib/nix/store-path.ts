/** Store paths: strings that have been looked at. */

declare const checked: unique symbol
/** `/nix/store/<32 characters of Nix's base 32>-<name>`, nothing below it. */
export type StorePath = string & { readonly [checked]: 'store path' }
/** A store path that ends in `.drv`. */
export type DerivationPath = StorePath & { readonly [checked]: 'store path' }

// Names: nix's src/libstore/path.cc (211 characters, these letters, not starting with a dot).
const pattern = /^\/nix\/store\/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+\-_?=][0-9a-zA-Z+\-._?=]{0,210}$/

export const isStorePath = (text: string): text is StorePath => pattern.test(text)

/** Throws a RangeError when the text is not a store path. */
export function parseStorePath(text: string): StorePath {
  if (!isStorePath(text)) throw new RangeError(`not a store path: ${JSON.stringify(text)}`)
  return text
}

/** Throws a RangeError when the text is not the store path of a derivation. */
export function parseDerivationPath(text: string): DerivationPath {
  const path = parseStorePath(text)
  if (!path.endsWith('.drv')) throw new RangeError(`not a derivation: ${path}`)
  return path as DerivationPath
}

/** What a person would call it: `nginx-1.26.2`. */
export const nameOf = (path: StorePath): string => path.slice(44)
