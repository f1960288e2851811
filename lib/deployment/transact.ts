/** One transaction, from the begin to the result that was read back: follow it, verify it, confirm it or call it off. */
import {
  begin,
  callOff,
  confirm,
  type Followed,
  follow,
  type TransactionListener,
  type TransactionRequest,
} from '../activation/transaction.ts'
import { confirmAllowanceMs } from '../inventory/confirm-window.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { Session } from './session.ts'
import type { Tools } from './tools.ts'
import { verifyHost } from './verify-host.ts'

export type Transacted =
  | Exclude<Followed, { kind: 'awaiting' }>
  /** contact was lost: the host goes back by itself until then */
  | { readonly kind: 'left'; readonly until: Date; readonly reason: string }

/** Between two attempts to reach a host that is lost. */
const retryMs = 1_000
/** Time that the host may need to go back, beyond the limits that it keeps itself. */
const rollBackAllowanceMs = 60_000

export async function transact(
  place: { host: Host; session: Session; tools: Tools },
  request: TransactionRequest,
  onBegun: () => void,
): Promise<Transacted> {
  const { host, session, tools } = place
  const { clock, report } = tools
  const latestEnd = request.switchTimeoutMs + request.confirmWithinMs + rollBackAllowanceMs
  const giveUpAt = clock.monotonic() + latestEnd
  const left = (reason: string): Transacted => ({
    kind: 'left',
    until: new Date(clock.now().getTime() + Math.max(0, giveUpAt - clock.monotonic())),
    reason,
  })

  let begun = false
  const listener: TransactionListener = {
    state(word, reason) {
      if (!begun) {
        begun = true
        onBegun()
      }
      if (word === 'activating') report({ kind: 'stage', host: host.name, stage: 'activate' })
      if (word === 'confirming') report({ kind: 'stage', host: host.name, stage: 'confirm' })
      if (word === 'rolling-back') {
        report({ kind: 'stage', host: host.name, stage: 'roll back' })
        if (reason) report({ kind: 'note', host: host.name, stage: 'roll back', text: reason })
      }
    },
    log: (line) => report({ kind: 'log', host: host.name, stage: 'activate', line }),
  }

  /** Tries a step over the login in use, then over new ones, until it is through or the host has gone back by itself. */
  const keepTrying = async (step: (machine: Machine) => Promise<Followed>): Promise<Followed | undefined> => {
    while (!tools.giveUp.aborted && clock.monotonic() < giveUpAt) {
      try {
        return await orGivenUp(session.machine(tools.giveUp).then(step), tools.giveUp)
      } catch (error) {
        if (!(error instanceof Problem) || error.kind !== 'unreachable') {
          if (tools.giveUp.aborted) return undefined
          throw error
        }
        report({ kind: 'progress', host: host.name, stage: 'activate', text: `no contact: ${error.message}` })
        await clock.sleep(retryMs, tools.giveUp).catch(() => {})
      }
    }
    return undefined
  }
  const withProgram = (machine: Machine) => ({ machine, program: tools.program })
  const goBack = (reason: string) => keepTrying((machine) => callOff(withProgram(machine), { id: request.id, reason }))

  let first = true
  const following = keepTrying((machine) => {
    if (!first) return follow(withProgram(machine), request.id, listener)
    first = false
    return begin(withProgram(machine), request, listener)
  })
  const followedUp = await orInterrupted(following, tools.signal)
  if (followedUp === 'interrupted') {
    report({ kind: 'note', host: host.name, stage: 'activate', text: 'interrupted: going back' })
    const end = await goBack('interrupted')
    void following.catch(() => {})
    return end && end.kind !== 'awaiting' ? end : left('interrupted')
  }
  if (followedUp === undefined) return left('contact was lost')
  if (followedUp.kind !== 'awaiting') return followedUp

  report({ kind: 'stage', host: host.name, stage: 'verify' })
  const deadline = clock.monotonic() + followedUp.remainingMs - confirmAllowanceMs
  const verified = await verifyHost(place, { id: request.id, deadline })
  if (verified.login) session.adopt(verified.login)
  let end: Followed | undefined
  if (verified.healthy) {
    report({ kind: 'stage', host: host.name, stage: 'confirm' })
    end = await keepTrying((machine) => confirm(withProgram(machine), { id: request.id, nonce: request.nonce }))
  } else {
    report({ kind: 'stage', host: host.name, stage: 'roll back' })
    report({ kind: 'note', host: host.name, stage: 'roll back', text: verified.reason })
    end = await goBack(verified.reason)
  }
  if (!end || end.kind === 'awaiting') return left(verified.healthy ? 'contact was lost' : verified.reason)
  // The host only knows that nobody confirmed; we know why.
  if (!verified.healthy && end.kind === 'ended' && end.result.end === 'rolled-back') {
    return { kind: 'ended', result: { ...end.result, reason: verified.reason } }
  }
  return end
}

/** Rejects as soon as the signal is aborted, whatever becomes of the promise. */
function orGivenUp<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Problem('given up', { kind: 'interrupted' }))
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}

function orInterrupted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | 'interrupted'> {
  return new Promise((resolve, reject) => {
    const interrupt = () => resolve('interrupted')
    if (signal.aborted) interrupt()
    signal.addEventListener('abort', interrupt, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', interrupt))
  })
}
