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
import { showDuration } from '../inventory/duration.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem, type Stage } from '../problem.ts'
import type { Session } from './session.ts'
import type { Tools } from './tools.ts'
import { verifyHost } from './verify-host.ts'

export type Transacted =
  | (Exclude<Followed, { kind: 'awaiting' }> & {
      /** the reason says it all: the log of the switch has nothing to add */
      readonly explained?: boolean
      /** it rebooted into the new system, and was not told to keep it */
      readonly isUnverified?: boolean
      /** it was to be rebooted: that it restarted is no news */
      readonly reboots?: boolean
      /** the host told that it had begun to change something */
      readonly hasActed?: boolean
    })
  /** contact was lost: the host goes back by itself until then, unless it had the confirmation already */
  | {
      readonly kind: 'left'
      readonly until: Date
      readonly reason: string
      readonly confirmationSent: boolean
      /** it rebooted and did not come back: what goes back by itself only does so when it boots */
      readonly isMissing: boolean
      /** its boot loader was told to try the new system once, and starts the one before after that: nothing was confirmed */
      readonly triesOnce: boolean
    }

/**
 * Between two attempts to reach a host that is lost, doubled after each: a host that boots refuses logins for a while, and
 * newer sshds lock out who fails to log in again and again.
 */
const firstRetryMs = 1_000
const longestRetryMs = 8_000
/** Time that the host may need to go back, beyond the limits that it keeps itself. */
const rollBackAllowanceMs = 60_000

interface Place {
  readonly host: Host
  readonly session: Session
  readonly tools: Tools
}

/** A reboot, the time in which nobody can confirm because the new system can't be reached, and the reboot back. */
const longestAbsenceMs = ({ rebootWithinMs, confirmWithinMs, switchTimeoutMs }: TransactionRequest) =>
  3 * rebootWithinMs + confirmWithinMs + 2 * switchTimeoutMs

/** Rejects only as long as nothing was begun on the host: after that, the host acts by itself, and that is told. */
export async function transact(place: Place, request: TransactionRequest, onBegun: () => void): Promise<Transacted> {
  const { tools } = place
  tools.signal.throwIfAborted()
  const transaction = new Transaction(place, request, onBegun)
  try {
    return await transaction.story()
  } catch (error) {
    if (!transaction.mayHaveBegun(error)) throw error
    return transaction.left(error instanceof Error ? error.message : String(error))
  } finally {
    transaction.end()
  }
}

class Transaction {
  readonly #place: Place
  readonly #request: TransactionRequest
  readonly #listener: TransactionListener
  /** Aborted when waiting has no more sense: the second Ctrl-C, or the host must long have gone back. */
  readonly #tooLate = new AbortController()
  readonly #onGiveUp = () => this.#tooLate.abort()
  readonly #begun: Promise<void>
  #hasBegun = false
  #hasActed = false
  #sent = false
  #confirmationSent = false
  #reboots = false
  #isMissing = false
  #triesOnce = false
  /** Ends the waiting for a host that reboots: it is back. */
  #back = new AbortController()
  /** of the clock: until then somebody may confirm */
  #windowEnd: number

  constructor(place: Place, request: TransactionRequest, onBegun: () => void) {
    this.#place = place
    this.#request = request
    const { clock, giveUp } = place.tools
    const window = request.switchTimeoutMs + request.confirmWithinMs
    this.#windowEnd = clock.monotonic() + window
    giveUp.addEventListener('abort', this.#onGiveUp, { once: true })
    if (giveUp.aborted) this.#tooLate.abort()
    // Up to four boots: into the new system, and back as often as it takes.
    const reboots = request.reboot === 'never' ? 0 : 4 * request.rebootWithinMs + request.switchTimeoutMs
    const patience = clock.sleep(window + request.switchTimeoutMs + rollBackAllowanceMs + reboots, this.#tooLate.signal)
    patience.then(this.#onGiveUp, () => {})
    let tellBegun = () => {}
    this.#begun = new Promise((resolve) => {
      tellBegun = resolve
    })
    this.#listener = this.#listen((word, reason) => {
      this.#back.abort()
      // Which of the words is the last one before contact is lost is a matter of chance.
      if (word === 'staging' || word === 'rebooting') this.#reboots = true
      if (word !== 'ready') this.#hasActed = true
      if (word === 'rebooting' && reason) this.#triesOnce = true
      if (this.#reboots && word !== 'awaiting') this.#awaitBoot()
      if (this.#hasBegun) return
      this.#hasBegun = true
      tellBegun()
      onBegun()
    })
  }

  end(): void {
    this.#place.tools.giveUp.removeEventListener('abort', this.#onGiveUp)
    this.#back.abort()
    this.#tooLate.abort()
  }

  /** A failure that the host itself told of before it began anything leaves it untouched. */
  mayHaveBegun(error: unknown): boolean {
    if (this.#hasBegun) return true
    return this.#sent && !(error instanceof Problem && error.kind === 'failed')
  }

  left(reason: string): Transacted {
    const { clock } = this.#place.tools
    const request = this.#request
    const reboots = request.reboot === 'never' ? 0 : 3 * request.rebootWithinMs
    const goingBack = 2 * request.switchTimeoutMs + rollBackAllowanceMs + reboots
    const milliseconds = Math.max(0, this.#windowEnd - clock.monotonic()) + goingBack
    const until = new Date(clock.now().getTime() + milliseconds)
    return {
      kind: 'left',
      until,
      reason: this.#isMissing
        ? `the host has not come back within ${showDuration(longestAbsenceMs(request))} of its reboot`
        : reason,
      confirmationSent: this.#confirmationSent,
      isMissing: this.#isMissing,
      triesOnce: this.#triesOnce && !this.#confirmationSent,
    }
  }

  /** A host that doesn't come back may be up, unreachable, and about to go back by itself: that is waited for. */
  #awaitBoot(): void {
    const { host, tools } = this.#place
    const { rebootWithinMs } = this.#request
    this.#back = new AbortController()
    const { signal } = this.#back
    const wait = async () => {
      await tools.clock.sleep(rebootWithinMs, signal)
      const text = `the host is not back ${showDuration(rebootWithinMs)} after its reboot; it may still go back by itself`
      tools.report({ kind: 'note', host: host.name, stage: 'activate', text })
      await tools.clock.sleep(longestAbsenceMs(this.#request) - rebootWithinMs, signal)
      this.#isMissing = true
      this.#tooLate.abort()
    }
    wait().catch(() => {})
  }

  async story(): Promise<Transacted> {
    const { host, session, tools } = this.#place
    const { clock, report, signal } = tools
    const { id, nonce } = this.#request

    const following = this.#keepTrying((machine) => this.#beginOrFollow(machine))
    const followed = await orInterrupted(following, signal)
    if (followed === 'interrupted') {
      following.catch(() => {})
      if (!this.#sent) signal.throwIfAborted()
      report({ kind: 'note', host: host.name, stage: 'activate', text: 'interrupted: going back' })
      // What is just beginning can only be called off once it has begun.
      await Promise.race([this.#begun, following.catch(() => {}), whenAborted(this.#tooLate.signal)])
      const end = this.#settled(await this.#callOff('interrupted'), 'interrupted')
      return end.kind === 'ended' ? { ...end, explained: true } : end
    }
    if (followed?.kind !== 'awaiting') return this.#settled(followed, 'contact was lost')

    report({ kind: 'stage', host: host.name, stage: 'verify' })
    this.#windowEnd = clock.monotonic() + followed.remainingMs
    const verified = await verifyHost(this.#place, { id, deadline: this.#windowEnd - confirmAllowanceMs })
    if (verified.login) session.adopt(verified.login)
    if (verified.healthy) {
      report({ kind: 'stage', host: host.name, stage: 'confirm' })
      this.#confirmationSent = true
      const end = await this.#keepTrying((machine) => confirm(this.#with(machine), { id, nonce }))
      return this.#settled(end, 'contact was lost')
    }
    report({ kind: 'stage', host: host.name, stage: 'roll back' })
    report({ kind: 'note', host: host.name, stage: 'roll back', text: verified.reason })
    const end = await this.#callOff(verified.reason)
    const settled = this.#settled(end, verified.reason)
    // The host may only know that nobody confirmed; we know why.
    if (settled.kind !== 'ended' || settled.result.end !== 'rolled-back') return settled
    if (settled.result.reason.startsWith('called off by ')) return { ...settled, explained: true }
    const { stillWrong } = settled.result
    const more = stillWrong && `; still wrong after going back: ${stillWrong}`
    return { ...settled, explained: true, result: { ...settled.result, reason: `${verified.reason}${more}` } }
  }

  #settled(end: Followed | undefined, reason: string): Transacted {
    if (!end || end.kind === 'awaiting') return this.left(reason)
    const isUnverified = this.#reboots && !this.#confirmationSent
    return { ...end, hasActed: this.#hasActed, reboots: this.#reboots, isUnverified }
  }

  #beginOrFollow(machine: Machine): Promise<Followed> {
    if (this.#sent) return follow(this.#with(machine), this.#request, this.#listener)
    this.#place.tools.signal.throwIfAborted()
    this.#sent = true
    return begin(this.#with(machine), this.#request, this.#listener)
  }

  #callOff(reason: string): Promise<Followed | undefined> {
    const { id, bootId } = this.#request
    return this.#keepTrying((machine) => callOff(this.#with(machine), { id, reason, bootId }))
  }

  #with(machine: Machine) {
    return { machine, program: this.#place.tools.program }
  }

  /**
   * Tries a step over the login in use, then over new ones. Once it has begun every failure is worth another try: a new
   * system may have broken the very sudo that it needs, until the host goes back by itself. Undefined: it is too late.
   */
  async #keepTrying(step: (machine: Machine) => Promise<Followed>): Promise<Followed | undefined> {
    const { host, session, tools } = this.#place
    const signal = this.#tooLate.signal
    let retryMs = firstRetryMs
    while (!signal.aborted) {
      try {
        return await orTooLate(session.machine(signal).then(step), signal)
      } catch (error) {
        if (signal.aborted) return undefined
        const isWorthATry = error instanceof Problem && (error.kind === 'unreachable' || this.#hasBegun)
        if (!isWorthATry) throw error
        const text = `no contact: ${error.message}`
        tools.report({ kind: 'progress', host: host.name, stage: 'activate', text })
        await tools.clock.sleep(retryMs, signal).catch(() => {})
        retryMs = Math.min(2 * retryMs, longestRetryMs)
      }
    }
    return undefined
  }

  #listen(onState: (word: string, reason: string) => void): TransactionListener {
    const { host, tools } = this.#place
    const enter = (stage: Stage) => tools.report({ kind: 'stage', host: host.name, stage })
    const note = (stage: Stage, text: string) => tools.report({ kind: 'note', host: host.name, stage, text })
    return {
      state(word, reason) {
        onState(word, reason)
        if (word === 'activating' || word === 'staging') enter('activate')
        if (word === 'staging') note('activate', `with a reboot: ${reason}`)
        if (word === 'rebooting' && reason) note('activate', reason)
        if (word === 'returning') note('roll back', 'reboots into the system that ran before')
        if (word === 'confirming') enter('confirm')
        if (word === 'rolling-back') {
          enter('roll back')
          if (reason) note('roll back', reason)
        }
      },
      log: (line) => tools.report({ kind: 'log', host: host.name, stage: 'activate', line }),
    }
  }
}

const whenAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** Rejects as soon as the signal is aborted, whatever becomes of the promise. */
function orTooLate<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Problem('it took too long', { kind: 'interrupted' }))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
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
