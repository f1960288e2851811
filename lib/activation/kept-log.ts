/** The output of a switch, which the host keeps. */
import type { Machine } from '../machine/machine.ts'
import { type HistoryEntry, parseHistory } from './history.ts'
import { type HostProgram, verbCommand } from './host-program.ts'
import { readFacts, whyNot } from './host-state.ts'

export interface KeptLog {
  readonly id: string
  /** The deployment isn't over: this is its log so far. */
  readonly underWay: boolean
  /** The line of the host's history that belongs to it, when there is one. */
  readonly entry: HistoryEntry | undefined
  readonly lines: readonly string[]
}

/** Whether it can be the id of a deployment at all. */
export const isDeploymentId = (text: string): boolean => /^[A-Za-z0-9-]{1,100}$/.test(text)

/** The log of that deployment, or of the last one, if there is one; and the ids of all that are kept, oldest first. */
export async function readLog(
  machine: Machine,
  program: HostProgram,
  id: string | undefined,
): Promise<{ log: KeptLog | undefined; kept: readonly string[] }> {
  const words = id === undefined ? [] : [id]
  const finished = await machine.run(verbCommand('log', ...words), { input: program, timeoutMs: 60_000 })
  if (finished.code === 0 && /^end$/m.test(finished.stdout)) return parseLog(finished.stdout)
  throw await whyNot(machine, finished)
}

export function parseLog(text: string): { log: KeptLog | undefined; kept: readonly string[] } {
  const facts = readFacts(text)
  const id = facts.get('id')?.[0]
  const log = id !== undefined && {
    id,
    underWay: facts.get('under-way')?.[0] === 'yes',
    entry: parseHistory(facts.get('history')?.[0] ?? '')[0],
    lines: facts.get('log') ?? [],
  }
  return { log: log || undefined, kept: facts.get('kept') ?? [] }
}
