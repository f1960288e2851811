/** What was deployed to a host, when, by whom and how it ended: kept by the host, one JSON object a line. */
import type { Machine } from '../machine/machine.ts'
import { type HostProgram, verbCommand } from './host-program.ts'
import { whyNot } from './host-state.ts'

export interface HistoryEntry {
  readonly id: string
  /** ISO 8601 */
  readonly started: string
  readonly ended: string
  /** user@machine that deployed */
  readonly by: string
  readonly toplevel: string
  readonly previous: string
  /** of the flake's source, when it has one */
  readonly revision: string
  readonly mode: string
  readonly outcome: string
  readonly reason: string
  readonly bootId: string
  readonly generation: string
}

const nothing: HistoryEntry = {
  id: '',
  started: '',
  ended: '',
  by: '',
  toplevel: '',
  previous: '',
  revision: '',
  mode: '',
  outcome: '',
  reason: '',
  bootId: '',
  generation: '',
}

/** Oldest first. Lines that can't be read (a power cut may leave half of one) are left out, and so is what is no text in them. */
export function parseHistory(text: string): HistoryEntry[] {
  return text.split('\n').flatMap((line) => {
    try {
      const entry: unknown = JSON.parse(line)
      if (typeof entry !== 'object' || entry === null || !('outcome' in entry)) return []
      const texts = Object.entries(entry).filter(([, value]) => typeof value === 'string')
      return [{ ...nothing, ...Object.fromEntries(texts) }]
    } catch {
      return []
    }
  })
}

export async function readHistory(
  machine: Machine,
  program: HostProgram,
  signal: AbortSignal,
): Promise<HistoryEntry[]> {
  const finished = await machine.run(verbCommand('history'), { input: program, timeoutMs: 60_000, signal })
  if (finished.code !== 0) throw await whyNot(machine, finished)
  return parseHistory(finished.stdout)
}
