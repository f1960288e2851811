/** What a host is and runs, in one answer of its own. */
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { type HostProgram, verbCommand } from './host-program.ts'

export interface Generation {
  readonly number: number
  /** when it was made, milliseconds since 1970 */
  readonly time: number
  readonly system: string
}

export interface HeldLock {
  readonly id: string
  /** false: its processes are gone, and it left something to finish */
  readonly alive: boolean
  /** who, from where */
  readonly holder: string
  /** ISO 8601 */
  readonly since: string
  /** what for: switch, boot, test, or clean */
  readonly mode: string
  /** the system that it is to run; empty when it is cleaned */
  readonly system: string
  /** the deployment's state on the host */
  readonly state: string
  /** until it rolls back by itself */
  readonly secondsLeft: number | undefined
}

/** Paths are store paths, or empty where there is none. Sizes are bytes. */
export interface HostState {
  readonly isRoot: boolean
  readonly isNixos: boolean
  readonly hasSystemd: boolean
  /** `uname -m` */
  readonly machine: string
  readonly running: string
  readonly booted: string
  readonly profile: string
  readonly generation: number | undefined
  /** the toplevel that the next boot runs; `unknown` when its boot loader can't be read */
  readonly boot: string
  readonly bootLoader: string
  readonly bootId: string
  /** files that the next boot loads and that are not what the store has (looked at once a boot), and an empty boot menu */
  readonly damagedBootFiles: readonly string[]
  /** the directory of the system profile, where root can't write to it */
  readonly readOnly: string | undefined
  readonly freeInStore: number | undefined
  /** the copies of kernels and initrds that the boot loader has, and the room for more; undefined where it needs none */
  readonly bootFiles: { readonly names: readonly string[]; readonly freeBytes: number } | undefined
  /** nixos-upgrade.timer is active: it would evaluate on the host */
  readonly upgradeTimer: boolean
  /** programs that a deployment needs and that are missing */
  readonly lacks: readonly string[]
  readonly generations: readonly Generation[]
  readonly lock: HeldLock | undefined
  /** which of kernel, initrd, kernel-modules the running system has and the booted one has not */
  readonly notBooted: readonly string[]
  /** the name of the specialisation of the profile's system that runs, if one does */
  readonly specialisation: string | undefined
}

/** Lines `KEY VALUE`, as the host program writes them. */
export function readFacts(text: string): Map<string, string[]> {
  const facts = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^(\S+) ?(.*)$/.exec(line) ?? []
    if (key !== undefined) facts.set(key, [...(facts.get(key) ?? []), value ?? ''])
  }
  return facts
}

export const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined

export function parseHostState(text: string): HostState {
  const facts = readFacts(text)
  const fact = (key: string) => facts.get(key)?.[0] ?? ''
  const lockId = fact('lock')
  return {
    isRoot: fact('root') === 'yes',
    isNixos: fact('nixos') === 'yes',
    hasSystemd: fact('systemd') === 'yes',
    machine: fact('machine'),
    running: fact('running'),
    booted: fact('booted'),
    profile: fact('profile'),
    generation: wholeNumber(fact('generation')),
    boot: fact('boot') || 'unknown',
    bootLoader: fact('boot-loader'),
    bootId: fact('boot-id'),
    damagedBootFiles: facts.get('damaged-boot-file') ?? [],
    readOnly: fact('read-only') || undefined,
    freeInStore: wholeNumber(fact('free-store')),
    bootFiles: bootFilesOf(facts),
    upgradeTimer: fact('upgrade-timer') === 'yes',
    lacks: facts.get('lacks') ?? [],
    generations: (facts.get('generation-link') ?? []).flatMap((line) => {
      const [number, seconds, system] = line.split(' ')
      const parsed = wholeNumber(number)
      return parsed === undefined || !system ? [] : [{ number: parsed, time: Number(seconds) * 1000, system }]
    }),
    lock: lockId
      ? {
          id: lockId,
          alive: fact('lock-alive') !== 'no',
          holder: fact('lock-holder') || 'somebody',
          since: fact('lock-since'),
          mode: fact('lock-mode'),
          system: fact('lock-system'),
          state: fact('pending-state'),
          secondsLeft: wholeNumber(fact('pending-seconds')),
        }
      : undefined,
    notBooted: facts.get('not-booted') ?? [],
    specialisation: fact('specialisation') || undefined,
  }
}

function bootFilesOf(facts: ReadonlyMap<string, string[]>): HostState['bootFiles'] {
  const freeBytes = wholeNumber(facts.get('free-boot')?.[0])
  return freeBytes === undefined ? undefined : { names: facts.get('boot-file') ?? [], freeBytes }
}

/** Asks a host for its state; one command. Rejects with a Problem when it can't be asked as root. */
export async function probe(machine: Machine, program: HostProgram, signal?: AbortSignal): Promise<HostState> {
  const options = { input: program, timeoutMs: 60_000, ...(signal && { signal }) }
  const finished = await machine.run(verbCommand('probe'), options)
  if (finished.code === 0 && /^end$/m.test(finished.stdout)) return parseHostState(finished.stdout)
  throw await whyNot(machine, finished)
}

/** Rewrites damaged boot files from the store. Resolves with those that are whole again; the next probe tells of the others. */
export async function repairBootFiles(machine: Machine, program: HostProgram, signal?: AbortSignal): Promise<string[]> {
  const { stdout } = await machine.run(verbCommand('repair-boot-files'), { input: program, ...(signal && { signal }) })
  return readFacts(stdout).get('rewritten') ?? []
}

/**
 * Why a command as root came to nothing. What sudo and its like print differs, and says too little: asked for `true`,
 * they can fail for no other reason than that they refuse.
 */
export async function whyNot(machine: Machine, failed: { stderr: string; code: number | null }): Promise<Problem> {
  const detail = failed.stderr.trim()
  const simplest = await machine.run({ argv: ['true'], asRoot: true }, { timeoutMs: 10_000 })
  if (simplest.code !== 0) return cannotBecomeRoot(machine.user, detail)
  return new Problem(`the host could not be asked (exit code ${failed.code ?? 'unknown'})`, { detail })
}

/** `detail` is what the way to become root printed. */
export const cannotBecomeRoot = (user: string, detail: string): Problem =>
  new Problem(`${user} cannot become root without a password`, {
    detail,
    hints: [
      `allow it in the host's configuration: security.sudo.extraRules, NOPASSWD for ${user}`,
      'or say in hosts.yaml how it is done: `sudo: ask`, `none` (log in as root), `doas` or `run0`',
    ],
  })
