/** Asks this machine what a deployment needs of it. */
import { readFacts } from '../../activation/host-state.ts'
import type { Inventory } from '../../inventory/inventory.ts'
import type { Machine } from '../../machine/machine.ts'
import { parseFlakeReference } from '../../nix/flake-reference.ts'
import { Problem } from '../../problem.ts'
import { controlScript } from './control-script.ts'

export interface ControlFacts {
  readonly nodeVersion: string
  /** of ssh, ssh-keygen, ssh-add, git and tar those that are there */
  readonly tools: ReadonlySet<string>
  readonly sshVersion: string
  readonly gitVersion: string
  /** the flake is in a git repository */
  readonly inGit: boolean
  /** agents that answer, and how many keys they hold */
  readonly agents: readonly { readonly socket: string; readonly keys: number }[]
  /** sockets at which no agent answers */
  readonly deadAgents: readonly string[]
  /** key files that are there */
  readonly keys: readonly { readonly file: string; readonly state: KeyState }[]
  /** how many lines each has that are no comments */
  readonly knownHosts: readonly { readonly file: string; readonly lines: number }[]
  readonly unreadableKnownHosts: readonly string[]
  /** temporary files can be made */
  readonly temporary: boolean
  /** the directory that keeps inputs from being kept */
  readonly unwritable: string | undefined
}

const keyStates = ['usable', 'encrypted', 'exposed', 'unreadable', 'odd'] as const
export type KeyState = (typeof keyStates)[number]

/** A control machine as it was seen, and what is asked of it. */
export interface ControlSubject {
  readonly facts: ControlFacts
  /** some input is fetched here */
  readonly fetchesInputs: boolean
  /** some machine is logged in to, and it is known with what */
  readonly logsIn: boolean
}

export interface ControlQuestion {
  readonly inventory: Pick<Inventory, 'flake' | 'inputs'>
  /** what is logged in to */
  readonly destinations: readonly string[]
  readonly nodeVersion: string
  readonly signal: AbortSignal
}

export async function examineControl(here: Machine, question: ControlQuestion): Promise<ControlSubject> {
  const { inventory, destinations, nodeVersion, signal } = question
  const flake = parseFlakeReference(inventory.flake)
  const directory = flake.kind === 'local' && !flake.plain ? flake.directory : ''
  const argv = ['/bin/sh', '-c', controlScript, 'doctor', directory, ...new Set(destinations)]
  const { stdout, stderr } = await here.run({ argv }, { signal, timeoutMs: 60_000 })
  if (!/^end$/m.test(stdout)) throw new Problem('this machine did not answer to the end', { detail: stderr.trim() })
  const fetchesInputs = [...inventory.inputs.values()].some((source) => typeof source !== 'string')
  const facts = controlFacts(readFacts(stdout), nodeVersion)
  return { facts, fetchesInputs, logsIn: destinations.length > 0 && facts.temporary }
}

function controlFacts(facts: ReadonlyMap<string, string[]>, nodeVersion: string): ControlFacts {
  const all = (key: string) => facts.get(key) ?? []
  const fact = (key: string) => all(key)[0] ?? ''
  /** Files after one word. */
  const files = (key: string) =>
    all(key).map((line) => {
      const space = line.indexOf(' ')
      return { word: line.slice(0, space), file: line.slice(space + 1) }
    })
  return {
    nodeVersion,
    tools: new Set(all('tool')),
    sshVersion: /^OpenSSH_[\w.]+/.exec(fact('ssh-version'))?.[0].replace('_', ' ') ?? '',
    gitVersion: /\d+\.\d[\d.]*/.exec(fact('git-version'))?.[0] ?? '',
    inGit: facts.has('in-git'),
    agents: files('agent').map(({ word, file }) => ({ socket: file, keys: Number(word) })),
    deadAgents: all('dead-agent'),
    keys: files('key').map(({ word, file }) => ({ file, state: keyStates.find((one) => one === word) ?? 'odd' })),
    knownHosts: files('known-hosts').map(({ word, file }) => ({ file, lines: Number(word) })),
    unreadableKnownHosts: all('unreadable-known-hosts'),
    temporary: facts.has('temporary'),
    unwritable: fact('unwritable') || undefined,
  }
}
