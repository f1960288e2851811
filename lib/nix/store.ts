/** A Nix store, wherever it is. lib/nix/worker-protocol speaks to one over any duplex stream. */
import type { Readable } from 'node:stream'
import type { DerivationPath, StorePath } from './store-path.ts'

/** Sizes are bytes of the NAR. */
export interface PathInfo {
  readonly path: StorePath
  readonly deriver: StorePath | ''
  /** base 16, without `sha256:` */
  readonly narHash: string
  readonly references: readonly StorePath[]
  readonly registrationTime: number
  readonly narSize: number
  readonly ultimate: boolean
  readonly signatures: readonly string[]
  readonly contentAddress: string
}

export interface Missing {
  readonly willBuild: readonly StorePath[]
  readonly willSubstitute: readonly StorePath[]
  readonly unknown: readonly StorePath[]
  readonly downloadSize: number
  readonly narSize: number
}

/** What Nix tells while it works (its internal-json log, as typed by the worker protocol). */
export type NixEvent =
  | { kind: 'start'; id: number; type: number; text: string; fields: readonly (string | number)[]; parent: number }
  | { kind: 'stop'; id: number }
  | { kind: 'result'; id: number; type: number; fields: readonly (string | number)[] }
  | { kind: 'message'; text: string }

export interface BuildResult {
  readonly derivation: DerivationPath
  readonly ok: boolean
  /** Nix's own words when it failed. */
  readonly message: string
  /** output name to store path; from the result, since content-addressed outputs are unknown before */
  readonly outputs: Readonly<Record<string, StorePath>>
}

export interface Nar {
  readonly info: PathInfo
  /** Exactly `info.narSize` bytes. Must be read to its end before the next one is asked for. */
  readonly bytes: Readable
}

export interface Adding {
  /** how many paths come */
  readonly count: number
  /** Signatures are checked anyway when the daemon doesn't trust us. */
  readonly checkSignatures: boolean
  /** bytes of NARs that were sent, as they go */
  readonly onSent?: (bytes: number) => void
  /** The store has said that the path is valid. */
  readonly onAdded?: (info: PathInfo) => void
  readonly onEvent?: (event: NixEvent) => void
}

export interface NarSource {
  /**
   * NARs in the order asked for, pipelined. Until the iteration is over, nothing else can be asked of this store;
   * leaving it early closes the store.
   */
  narsFrom(infos: readonly PathInfo[]): AsyncIterable<Nar>
  close(): void
}

export interface NarSink {
  /**
   * Adds paths in the order given (references first), in one stream with back-pressure; each becomes valid as it
   * arrives. A failure closes the store: the path that was on its way is not valid, those before it are.
   */
  addMultiple(nars: AsyncIterable<Nar>, options: Adding): Promise<void>
  close(): void
}

export interface Store extends NarSource, NarSink {
  /** Version of the daemon as it says it (`2.26.3`), empty before protocol 1.33. */
  readonly version: string
  /** Whether the daemon trusts us (it says so from protocol 1.35 on). */
  readonly trusted: boolean | undefined
  /** Those of the paths that are valid, after substituting the others if asked to. One turn. */
  queryValidPaths(
    paths: readonly StorePath[],
    options: { substitute: boolean; onEvent?: (event: NixEvent) => void },
  ): Promise<Set<StorePath>>
  /** Pipelined: all questions are written before the first answer is read. Rejects when one is not valid. */
  queryPathInfos(paths: readonly StorePath[]): Promise<PathInfo[]>
  /** Everything the paths refer to, themselves included, references first. A turn for each level of the graph. */
  queryClosure(paths: readonly StorePath[]): Promise<PathInfo[]>
  /** What a build would build and fetch, for each by itself. Pipelined. */
  queryMissing(derivations: readonly DerivationPath[]): Promise<Missing[]>
  /** Keeps a path from the garbage collector for as long as this connection lives. */
  addTempRoots(paths: readonly StorePath[]): Promise<void>
  /** Builds all outputs of the derivations. Failures of builds are values. */
  build(derivations: readonly DerivationPath[], onEvent: (event: NixEvent) => void): Promise<BuildResult[]>
}
