/** The program that looks after keys on a host (lib/keys/host/*.sh), and how it is asked. */
import { type Command, quotePosix } from '../machine/command.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'

/** The parts put together, in the order of their names. Read from the package by the edge. */
export type KeysProgram = string & { readonly keysProgram: unique symbol }

export const keysProgram = (parts: ReadonlyMap<string, string>): KeysProgram =>
  [...parts.keys()]
    .sort()
    .map((name) => parts.get(name))
    .join('\n') as KeysProgram

/** The program with a secret at its beginning: what it reads from its standard input is nowhere else. */
export const withToken = (program: KeysProgram, token: string): KeysProgram =>
  `given_token=${quotePosix(token)}\n${program}` as KeysProgram

/** Lines `KEY VALUE`, in the order in which they were told. */
export type Facts = readonly (readonly [key: string, value: string])[]

export interface Answer {
  /** What was told of each account. */
  readonly accounts: ReadonlyMap<string, Facts>
  /** What concerns no single account. */
  readonly machine: Facts
}

/** Runs a verb as root. The arguments are seen in lists of processes: no secrets. */
export const verbCommand = (verb: string, ...words: readonly string[]): Command => ({
  argv: ['/bin/sh', '-s', '--', verb, ...words],
  asRoot: true,
})

/** How long one verb may take; those that ask the service for several accounts take longest. */
const longMs = 10 * 60_000

/** A login, and what is run there. */
export interface Asking {
  readonly machine: Machine
  readonly program: KeysProgram
  readonly signal: AbortSignal
  /** for one verb; ten minutes when left out */
  readonly patienceMs?: number
}

/** One verb, to its end. Rejects with a Problem. */
export async function askHost(
  { machine, program, signal, patienceMs = longMs }: Asking,
  verb: string,
  ...words: readonly string[]
): Promise<Answer> {
  const finished = await machine.run(verbCommand(verb, ...words), { input: program, timeoutMs: patienceMs, signal })
  if (finished.code === 0 && /^end$/m.test(finished.stdout)) return parseAnswer(finished.stdout)
  throw noAnswer(machine, finished.code, finished.stderr)
}

export const noAnswer = ({ user }: Machine, code: number | null, errorOutput: string): Problem =>
  new Problem(`the host could not be asked about its keys (exit code ${code ?? 'unknown'})`, {
    detail: errorOutput.trim(),
    hints: [`can ${user} become root there? See \`sudo:\` in docs/hosts.yaml.md`],
  })

export function parseAnswer(text: string): Answer {
  const accounts = new Map<string, (readonly [string, string])[]>()
  const machine: (readonly [string, string])[] = []
  let section = machine
  for (const line of text.split('\n')) {
    const [, key, value = ''] = /^(\S+) ?(.*)$/.exec(line) ?? []
    if (key === undefined) continue
    if (key === 'account') {
      section = []
      accounts.set(value, section)
    } else if (key === 'machine') section = machine
    else section.push([key, value])
  }
  return { accounts, machine }
}

export const factsOf = (facts: Facts, key: string): string[] =>
  facts.flatMap(([name, value]) => (name === key ? [value] : []))

export const factOf = (facts: Facts, key: string): string | undefined => factsOf(facts, key)[0]
