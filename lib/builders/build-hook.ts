/**
 * Another way to nixbuild.net: the build hook of a machine with Nix (nix.conf(5), `builders`). That machine fetches what its
 * substituters have, and only the rest is built there. Reached as a store, the service builds what substituters have.
 */
import { localBuilder } from '../inventory/builders.ts'
import type { StoreSpec } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { nixbuildHostKey } from '../nix/nixbuild.ts'
import type { Store } from '../nix/store.ts'
import { Problem } from '../problem.ts'
import type { BuildStore, NixSetting } from './builder.ts'
import { nixbuildWords } from './nixbuild.ts'

/** Builds elsewhere, by its own build hook. */
export interface BuildHook {
  /** The builder in hosts.yaml. */
  readonly name: string
  /** Who evaluates for it, there. */
  readonly by: string
  /** What its Nix is told, for as long as one is connected to it. */
  readonly settings: readonly NixSetting[]
  readonly own: Pick<BuildStore, 'ownWords' | 'hintsAfter'>
}

/** Systems that one processor builds for, and the features of builds there, as users of the service have them. */
const kinds = [
  { systems: ['x86_64-linux', 'i686-linux'], features: 'benchmark,big-parallel,kvm,nixos-test' },
  { systems: ['aarch64-linux', 'armv7l-linux'], features: 'benchmark,big-parallel' },
]
const known = kinds.flatMap((kind) => kind.systems)

/** `looksAfterKeys`: of the one who evaluates, `deploy keys` knows root's login at the service. */
export function buildHookTo(
  { name, destination, evaluateOn, systems, hostKey }: StoreSpec,
  looksAfterKeys: boolean,
): BuildHook {
  const key = Buffer.from(hostKey ?? nixbuildHostKey.key).toString('base64')
  const uri = destination.replace(/\/$/, '')
  const others = (systems ?? []).filter((system) => !known.includes(system))
  const lines = [...kinds, { systems: others, features: 'benchmark,big-parallel' }]
    .filter((kind) => kind.systems.some((system) => systems?.includes(system) ?? true))
    .map((kind) => `${uri} ${kind.systems.join(',')} - 100 1 ${kind.features} - ${key}`)
  return {
    name,
    by: evaluateOn,
    settings: [
      ['builders', lines.join(' ; ')],
      ['builders-use-substitutes', 'true'],
      ['max-jobs', '0'],
    ],
    own: {
      ownWords: nixbuildWords,
      hintsAfter: (words) => (isNotLetIn(words) ? keyHints(evaluateOn, looksAfterKeys) : []),
    },
  }
}

/** The hook's own words: build-remote.cc of Nix. */
const isNotLetIn = (words: string) => /cannot build on '[^']*':/.test(words)

function keyHints(by: string, looksAfterKeys: boolean): string[] {
  if (by === localBuilder)
    return ['root of this machine logs in there: as root, `ssh eu.nixbuild.net shell` tells why not']
  if (looksAfterKeys)
    return [`is root of ${by} let in? \`deploy keys ${by}\` tells, and \`deploy keys install ${by}\` mends it`]
  return [
    `root of ${by} logs in there, with a key of the account or a token: nixbuildKeys: [root] of ${by} in hosts.yaml, then \`deploy keys install ${by}\``,
  ]
}

/** Why that machine's Nix would take no notice of the hook, and build itself or nothing; undefined when it takes it. */
export function hookRefused(
  { name, by }: BuildHook,
  { user }: Pick<Machine, 'user'>,
  { trusted, version }: Pick<Store, 'trusted' | 'version'>,
): Problem | undefined {
  const hints = [
    `or have ${by} build there by its own configuration (nix.buildMachines), and name ${by} as the builder`,
  ]
  if (trusted === false) {
    return new Problem(`the Nix daemon of ${by} does not trust ${user}, and builds nothing at ${name} for others`, {
      hints: [`on ${by}: nix.settings.trusted-users = [ "root" "${user}" ];`, ...hints],
    })
  }
  if (user === 'root' || passesOn(version)) return undefined
  return new Problem(`the Nix of ${by}${version && ` (${version})`} tells its daemon nothing of ${name}, but as root`, {
    hints: [`Nix 2.20 or newer on ${by}, or a login as root, can use its build hook`, ...hints],
  })
}

/** `nix-daemon --stdio` of others hands on what it hears, and not its own settings (nix 2.20: release notes, mounted-ssh). */
function passesOn(version: string): boolean {
  const [, major = 0, minor = 0] = /^(\d+)\.(\d+)/.exec(version)?.map(Number) ?? []
  // Lix counts from 2.90.
  return major > 2 || (major === 2 && minor >= 20 && minor < 90)
}
