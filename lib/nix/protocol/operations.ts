/** Numbers of the worker protocol (nix: src/libstore/include/nix/store/worker-protocol.hh). */

/** What we ask for. */
export const operation = {
  buildPaths: 9,
  addTempRoot: 11,
  queryPathInfo: 26,
  queryValidPaths: 31,
  narFromPath: 38,
  queryMissing: 40,
  queryDerivationOutputMap: 41,
  addMultipleToStore: 44,
  /** since 1.34 (Nix 2.8) */
  buildPathsWithResults: 46,
} as const

/** The first words of either side. */
export const greeting = { client: 0x6e697863, daemon: 0x6478696f } as const

/** What the daemon says before the answer to an operation. */
export const said = {
  /** there is nothing more to say: the answer follows */
  last: 0x616c7473,
  error: 0x63787470,
  next: 0x6f6c6d67,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  result: 0x52534c54,
} as const

/** The protocol we speak. The major version has been 1 for as long as there has been a protocol. */
export const newest = 38
/** Nix 2.5, the first with a usable AddMultipleToStore. */
export const oldest = 32
