/** Looking at hosts: what they are and run now. Nothing is changed, but what would keep a host from its next boot. */
import { type HistoryEntry, readHistory } from '../activation/history.ts'
import { type HostState, probe } from '../activation/host-state.ts'
import { type KeptLog, readLog } from '../activation/kept-log.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { mendBootFiles, namedFiles } from './boot-files.ts'
import { asProblem } from './realise.ts'
import { openSession } from './session.ts'
import type { Tools } from './tools.ts'

export interface Seen<T> {
  readonly host: string
  readonly seen: T | Problem
}

/** Logs in to a host, asks one thing and leaves. Problems are values. */
export async function see<T>(host: Host, tools: Tools, look: (machine: Machine) => Promise<T>): Promise<Seen<T>> {
  const session = openSession(host, tools.network)
  try {
    return { host: host.name, seen: await look(await session.machine(tools.signal)) }
  } catch (error) {
    return { host: host.name, seen: asProblem(error, host, 'preflight') }
  } finally {
    await session.close()
  }
}

export const stateOf = (host: Host, tools: Tools): Promise<Seen<HostState>> =>
  see(host, tools, (machine) => probe(machine, tools.program, tools.signal))

export interface Status extends HostState {
  /** they were damaged, as after a power cut, and are whole again */
  readonly rewrittenBootFiles: readonly string[]
}

/** Boot files that are damaged are written again: nobody may restart the host before the next deployment would do it. */
export const statusOf = (host: Host, tools: Tools): Promise<Seen<Status>> =>
  see(host, tools, async (machine) => {
    const { state, rewritten } = await mendBootFiles(machine, await probe(machine, tools.program, tools.signal), tools)
    return { ...state, rewrittenBootFiles: rewritten }
  })

export const historyOf = (host: Host, tools: Tools): Promise<Seen<HistoryEntry[]>> =>
  see(host, tools, (machine) => readHistory(machine, tools.program, tools.signal))

/** The output of a deployment's switch; the last deployment's without an id. */
export const logOf = (host: Host, id: string | undefined, tools: Tools): Promise<Seen<KeptLog>> =>
  see(host, tools, async (machine) => {
    const { log, kept } = await readLog(machine, tools.program, id)
    if (log) return log
    const there =
      kept.length > 0 ? `it has ${[...kept].reverse().join(', ')}` : 'it has none: nothing was deployed to it'
    throw new Problem(id === undefined ? 'the host keeps no log' : `the host keeps no log of a deployment ${id}`, {
      hints: [there],
    })
  })

/** One line that says where a host stands, in words. */
export function standing(state: HostState): string {
  const parts: string[] = []
  if (state.lock) {
    parts.push(
      state.lock.alive
        ? `being ${state.lock.state === 'cleaning' ? 'cleaned' : 'deployed'} by ${state.lock.holder} (${state.lock.state})`
        : `an interrupted deployment of ${state.lock.holder} is to be finished (${state.lock.state})`,
    )
  }
  if (state.profile !== state.running) parts.push('the profile holds another system than the one that runs')
  if (state.boot !== 'unknown' && state.boot !== state.profile)
    parts.push('the next boot runs another system than the profile holds')
  if (state.boot === 'unknown') parts.push(`what the next boot runs can't be read (boot loader ${state.bootLoader})`)
  if (state.damagedBootFiles.length > 0) {
    const files = namedFiles(state.damagedBootFiles)
    parts.push(`the next boot would fail: ${files} is damaged: do not restart the host before it is whole`)
  }
  return parts.length === 0 ? 'running system, profile and boot default agree' : parts.join('; ')
}
