/** Where evaluation and builds happen. A kind of builder is one file beside this one and one line in lib/builders/index.ts. */
import type { Machine } from '../machine/machine.ts'
import type { Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import type { Problem } from '../problem.ts'

/** Passed on to Nix as they are. */
export interface EvaluationOptions {
  readonly impure: boolean
  readonly showTrace: boolean
  readonly refresh: boolean
  /** `--option NAME VALUE` */
  readonly options: readonly (readonly [name: string, value: string])[]
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
  /** A line for the person who waits: what is being fetched, evaluated, built. */
  progress(text: string): void
  warning(text: string): void
  /** Nix's own output, line by line (shown with -v, and when it fails). */
  log(line: string): void
}

/** A kernel or initrd: where it is in the store, and its size in bytes. */
export interface BootFile {
  readonly path: string
  readonly size: number
}

export interface Builder {
  readonly name: string
  /** Ships the source as it is now and evaluates the toplevels of these configurations. */
  evaluate(
    configurations: readonly string[],
    options: EvaluationOptions,
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<EvaluationResult>
  /** Realises the derivations; by derivation, the store path of `out` or why there is none. */
  build(
    derivations: readonly DerivationPath[],
    events: BuilderEvents,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>>
  /** What the boot loader will copy of a toplevel that is built here; undefined when that can't be told. */
  bootFiles(toplevel: StorePath, signal: AbortSignal): Promise<readonly BootFile[] | undefined>
  /** The store that holds what was built, for copying from it. One stream that isn't shared: the caller closes it. */
  openStore(signal: AbortSignal): Promise<Store>
  /** Where commands can be run beside that store, and the text for /bin/sh that reads from it. A mere store has none. */
  readonly shell?: { machine(signal: AbortSignal): Promise<Machine>; readonly serve: string }
  close(): Promise<void>
}
