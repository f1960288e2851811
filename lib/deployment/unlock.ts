/** The lock of a host: whose it is, and how it ends. It is never just deleted: what it stands for is brought to an end. */
import { type HeldLock, type HostState, probe } from '../activation/host-state.ts'
import { callOff, recover, type TransactionResult } from '../activation/transaction.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { OutcomeKind } from './outcome.ts'
import { kindOfEnd } from './outcomes.ts'
import { see, type Seen } from './status.ts'
import type { Tools } from './tools.ts'

export interface Unlocking {
  readonly kind:
    | 'not locked'
    /** by a deployment that is alive, which was not called off */
    | 'held'
    /** its deployment had died, and was finished */
    | 'finished'
    | 'called off'
  readonly lock: HeldLock | undefined
  /** of the lock; undefined when the host doesn't know since when it holds */
  readonly ageMs: number | undefined
  /** how the deployment ended */
  readonly result: TransactionResult | undefined
  /** the host after it */
  readonly state: HostState
}

/** A deployment that is alive is only called off with `force`: then the host goes back to what it ran before. */
export const unlockHost = (host: Host, force: boolean, tools: Tools): Promise<Seen<Unlocking>> =>
  see(host, tools, (machine) => unlock(machine, force, tools))

/** What it counts as for the exit code, when it is no success. */
export function unlockedAs({ kind, result }: Unlocking): OutcomeKind | undefined {
  if (kind === 'held') return 'locked'
  const failed = result && ['needs-hands', 'left-alone', 'rebooting'].includes(result.end)
  return failed ? kindOfEnd[result.end] : undefined
}

async function unlock(machine: Machine, force: boolean, tools: Tools): Promise<Unlocking> {
  const { program, signal } = tools
  const state = await probe(machine, program, signal)
  const { lock } = state
  const age = tools.clock.now().getTime() - Date.parse(lock?.since ?? '')
  const found = { lock, ageMs: Number.isNaN(age) ? undefined : Math.max(0, age), result: undefined, state }
  if (!lock) return { ...found, kind: 'not locked' }
  if (lock.alive && !force) return { ...found, kind: 'held' }

  let result: TransactionResult | undefined
  if (lock.alive) {
    const reason = `called off by ${tools.who}`
    const end = await callOff({ machine, program }, { id: lock.id, reason, bootId: state.bootId }, signal)
    if (end.kind === 'ended') result = end.result
  } else result = await recover({ machine, program }, lock.id, signal)
  const after = await probe(machine, program, signal)
  if (after.lock?.id === lock.id) {
    throw new Problem(`the deployment of ${lock.holder} still holds the host (${after.lock.state})`, {
      kind: 'locked',
      hints: ['try once more in a minute', 'a reboot brings the host back to its boot default, without any lock'],
    })
  }
  return { ...found, kind: lock.alive ? 'called off' : 'finished', result, state: after }
}
