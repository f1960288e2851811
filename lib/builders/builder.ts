/** Where evaluation and builds happen. A kind of builder is one file beside this one and one line in lib/builders/index.ts. */
import type { Machine } from '../machine/machine.ts'
import type { Missing, Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import type { Problem } from '../problem.ts'
import type { Load } from './load.ts'

/** `--option NAME VALUE` */
export type NixSetting = readonly [name: string, value: string]

/** Passed on to Nix as they are. */
export interface EvaluationOptions {
  readonly impure: boolean
  readonly showTrace: boolean
  readonly refresh: boolean
  readonly options: readonly NixSetting[]
  /** `--override-input NAME REFERENCE` */
  readonly overrideInputs: readonly (readonly [name: string, reference: string])[]
}

/** What evaluation says about one `nixosConfigurations.<configuration>`. */
export interface Evaluated {
  readonly derivation: DerivationPath
  /** What it builds, where that is known before it is built. */
  readonly output?: StorePath | undefined
  /** The system that the configuration is for (`aarch64-linux`): its host platform, not where it is built. */
  readonly system: string
}

export interface EvaluationResult {
  /** By configuration. One that is broken doesn't stop the others. */
  readonly configurations: ReadonlyMap<string, Evaluated | Problem>
  /** The revision of the source as Nix says it (`…-dirty` with uncommitted changes), if it has one. */
  readonly revision: string | undefined
}

export interface BuilderEvents {
  /** A line for the person who waits: what is being fetched, evaluated, built. `wantedBy`: for some of what is built alone. */
  progress(text: string, wantedBy?: readonly DerivationPath[]): void
  warning(text: string): void
  /** A fact worth a line of its own. */
  note(text: string): void
  /** Nix's own output, line by line (shown with -v, and when it fails). */
  log(line: string): void
}

/** A kernel, an initrd or a directory of device trees: where it is in the store, and its size in bytes. */
export interface BootFile {
  readonly path: string
  readonly size: number
  readonly areDeviceTrees?: boolean
}

/** What a connection to a store has kept from the garbage collector is kept for as long as it is open. */
export interface OpenStore extends Store {
  /** Nothing more is asked over it, and it is closed as soon as its place on a login is wanted by somebody else. */
  giveWay?(): void
}

/** A machine with a shell, git and Nix. The derivations that it makes are in its store. */
export interface Evaluator {
  /** For messages: the name in hosts.yaml. */
  readonly name: string
  /** Ships the source as it is now and evaluates the toplevels of these configurations. */
  evaluate(
    configurations: readonly string[],
    options: EvaluationOptions,
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<EvaluationResult>
  /** One stream that isn't shared: the caller closes it. */
  openStore(signal: AbortSignal): Promise<Store>
  /** Rejects with a Problem when it can't be reached. */
  load(signal: AbortSignal): Promise<Load>
  close(): Promise<void>
}

/** A store that builds what is in it. It may have no shell, and may trust nobody. */
export interface BuildStore {
  readonly name: string
  /** One stream that isn't shared: the caller closes it. `settings`: of nix.conf, where the store takes any. */
  openStore(signal: AbortSignal, settings?: readonly NixSetting[]): Promise<OpenStore>
  /** What the boot loader will copy of a toplevel that is built here; undefined when that can't be told. */
  bootFiles(toplevel: StorePath, signal: AbortSignal): Promise<readonly BootFile[] | undefined>
  /** Where the whole log of a failed build is, for a person. */
  whereLogIs(derivation: DerivationPath | string): string
  /** Where commands can be run beside that store, and the text for /bin/sh that reads from it. A mere store has none. */
  readonly shell?: { machine(signal: AbortSignal): Promise<Machine>; readonly serve: string } | undefined
  /** What the store itself says between the lines that a build printed, in words for a person. */
  ownWords?(line: string): string | undefined
  /** What to try after a build that failed with these words, besides what all stores have in common. */
  hintsAfter?(words: string): readonly string[]
  close(): Promise<void>
}

/** What a deployment is given: somebody who evaluates and a store that builds, made one by lib/builders/compose.ts. */
export interface Builder {
  readonly name: string
  evaluate: Evaluator['evaluate']
  /** Of the machine that evaluates. Rejects with a Problem when it or the store can't be reached. */
  load: Evaluator['load']
  /** What `build` would build and fetch, for each by itself. The derivations are in the store afterwards. */
  missing(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, Missing | Problem>>
  /**
   * Realises the derivations; by derivation, the store path of `out` or why there is none. What was built is kept from
   * the garbage collector until the signal is aborted or the builder is closed.
   */
  build(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>>
  bootFiles: BuildStore['bootFiles']
  /** The store that holds what was built, for copying from it. */
  openStore: BuildStore['openStore']
  readonly shell?: BuildStore['shell']
}
