/** hosts.yaml as it is after reading: every default applied, every value checked, durations in milliseconds. */
import type { Elevation } from '../machine/command.ts'

export interface Inventory {
  /** The file, absolute. Relative paths inside it are relative to its directory. */
  readonly file: string
  readonly directory: string
  /** A directory (absolute when it is one) or a flake reference. */
  readonly flake: string
  /** Inputs of the flake that the control machine gives to the builder. */
  readonly inputs: ReadonlyMap<string, InputSource>
  readonly builders: ReadonlyMap<string, BuilderSpec>
  /** In the order of the file. */
  readonly hosts: ReadonlyMap<string, Host>
}

/** An absolute directory, given in place of the input; or `here`: what flake.lock names, fetched by this machine's git. */
export type InputSource = string | { readonly fetch: 'here' }

export type BuilderSpec =
  | {
      readonly kind: 'ssh'
      readonly name: string
      readonly systems: Systems
      readonly destination: string
      /** the same machine as one whose logins at nixbuild.net are looked after; undefined: it has none of those */
      readonly keyHost?: Host | undefined
    }
  | StoreSpec
  | { readonly kind: 'local'; readonly name: string; readonly systems?: undefined }

/** What a builder builds for, as its entry says; undefined when it doesn't. */
type Systems = readonly string[] | undefined

/** A store that builds, reached over SSH. */
export interface StoreSpec {
  readonly kind: 'store'
  readonly name: string
  readonly systems: Systems
  /** `ssh://[user@]host[:port]` */
  readonly destination: string
  /** the name of a builder, or `local` */
  readonly evaluateOn: string
  /** reached by the build hook of whoever evaluates, not by this machine */
  readonly buildHook: boolean
  /** what is known of whoever runs it */
  readonly service: 'nixbuild.net' | undefined
  /** a private key; absolute */
  readonly identityFile: string | undefined
  /** `ssh-ed25519 AAAA…`: the only key that it may prove itself by */
  readonly hostKey: string | undefined
  readonly token: TokenSource | undefined
  /** lines of the service's language that add and remove a key; `{key}` and `{comment}` stand for those of a public key */
  readonly keyCommands: KeyCommands
  /** of nixbuild.net, by the names in its documentation (`max-cpu`) */
  readonly settings: ReadonlyMap<string, string>
  readonly tags: ReadonlyMap<string, string>
}

export interface KeyCommands {
  readonly add: string
  readonly remove: string
}

/** Where a secret is: the name of an environment variable, or a file (absolute). */
export type TokenSource = { readonly env: string } | { readonly file: string }

export interface Host {
  readonly name: string
  readonly destination: string
  /** Where verification logs in, when the new system has another address. */
  readonly verifyAt: string
  readonly configuration: string
  readonly system: string
  readonly tags: readonly string[]
  /** One of these evaluates and builds for it; never none. */
  readonly builders: readonly string[]
  readonly elevation: Elevation
  readonly specialisation: string | undefined
  readonly copy: {
    readonly via: 'relay' | 'direct' | 'cache'
    readonly substitute: boolean
    readonly compress: 'auto' | 'always' | 'never'
    /** what changed inside of paths, in place of the paths */
    readonly delta: 'auto' | 'off' | 'best'
  }
  readonly activation: {
    /** for the switch itself */
    readonly timeoutMs: number
    /** from the end of the switch to the confirmation */
    readonly confirmWithinMs: number
    /** how long everything must stay healthy */
    readonly settleMs: number
    /** from a reboot until the host is back */
    readonly rebootWithinMs: number
  }
  /** for what only a boot brings */
  readonly reboot: 'never' | 'when-needed'
  /** Which generations a deployment leaves; undefined: it deletes none. */
  readonly generations: GenerationPolicy | undefined
  readonly checks: readonly CheckSpec[]
  readonly nixbuildKeys: readonly string[]
  /** for root, in place of a key */
  readonly nixbuildToken: TokenSource | undefined
}

/** A generation is kept when it is among the `keep` newest, or younger than `olderThanMs`. */
export interface GenerationPolicy {
  readonly keep: number
  readonly olderThanMs: number
}

interface CheckTiming {
  readonly severity: 'required' | 'warn'
  readonly timeoutMs: number
  readonly intervalMs: number
}

export type CheckSpec = CheckTiming &
  (
    | { readonly kind: 'unit'; readonly unit: string }
    | {
        readonly kind: 'http'
        readonly url: string
        /** `2xx`, `204`, … : the first digit, or all three */
        readonly expect: string
        readonly headers: Readonly<Record<string, string>>
      }
    | {
        readonly kind: 'tcp'
        readonly port: number
        /** undefined: where the login leads to, ssh_config's aliases included */
        readonly host: string | undefined
      }
    | { readonly kind: 'command'; readonly argv: readonly string[] }
    | { readonly kind: 'local'; readonly argv: readonly string[] }
  )
