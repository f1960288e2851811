/** Is the new system healthy? All checks at once, each retried until it is; then all of them must stay so. */
import type { Clock } from '../clock.ts'
import { showDuration } from '../inventory/duration.ts'
import { Problem } from '../problem.ts'
import { Board, type VerifyEvent, type Watched } from './board.ts'
import type { Check, Surroundings } from './check.ts'
import { scoped } from './scope.ts'
import { keepTrying, type Round, tryUntil } from './trying.ts'

export type { VerifyEvent, Watched }

export interface Verification {
  readonly checks: readonly Check[]
  readonly surroundings: Surroundings
  readonly clock: Clock
  /** How long everything must stay healthy; 0: healthy once is enough. */
  readonly settleMs: number
  /** The value of `clock.monotonic()` at which the time is up. */
  readonly deadline: number
  /** What else must be healthy, and stay so. When it ends, contact was lost, and so is the verification. */
  readonly watch?: AsyncIterable<Watched>
}

/** `reason` names what wasn't healthy, in one line; `warnings` are of the checks that roll nothing back. */
export type Verified =
  | { readonly healthy: true; readonly tookMs: number; readonly warnings: readonly string[] }
  | { readonly healthy: false; readonly reason: string; readonly warnings: readonly string[] }

/** Undefined: all was well. */
type Trouble = string | undefined

/** Rejects with the signal's reason as soon as that is aborted. When it is over, none of it goes on. */
export async function verify(
  verification: Verification,
  onEvent: (event: VerifyEvent) => void,
  signal: AbortSignal,
): Promise<Verified> {
  const { checks, surroundings, clock, settleMs, deadline, watch } = verification
  const startedAt = clock.monotonic()
  const required = checks.filter((check) => check.severity === 'required')
  const optional = checks.filter((check) => check.severity === 'warn')
  const board = new Board(required, watch ? undefined : { healthy: true })
  const round: Round = { surroundings, clock, board, settleMs, onEvent }

  const trouble = await scoped<Trouble>(signal, async (scope) => {
    let isDecided = false
    const story = async (): Promise<Trouble> => {
      await untilAllHealthy(round, required, scope)
      const found = settleMs > 0 ? await settle(round, required, { startedAt, deadline, signal: scope }) : undefined
      if (found !== undefined) return found
      isDecided = true
      // Nothing waits for a warning to go away, but an answer is worth its time.
      await board.until(() => optional.every((check) => board.latest(check) !== undefined))
      return undefined
    }
    const timeUp = async (): Promise<Trouble> => {
      await clock.sleep(Math.max(0, deadline - clock.monotonic()), scope)
      if (isDecided) return undefined
      return (
        board.firstTrouble() || `the time was up before everything had stayed healthy for ${showDuration(settleMs)}`
      )
    }
    const ends = [story(), timeUp(), ...optional.map((check) => endlessly(keepTrying(round, check, scope)))]
    if (watch) ends.push(follow(watch, board, scope))
    return Promise.race(ends)
  })

  const warnings = optional.flatMap((check) => {
    const health = board.latest(check)
    return health?.healthy ? [] : [`${check.title}: ${health?.reason ?? 'no answer yet'}`]
  })
  if (trouble !== undefined) return { healthy: false, reason: trouble, warnings }
  return { healthy: true, tookMs: clock.monotonic() - startedAt, warnings }
}

function untilAllHealthy(round: Round, checks: readonly Check[], signal: AbortSignal): Promise<void> {
  const { board } = round
  return scoped(signal, (phase) => {
    const allHealthy = board.until(() => board.allHealthy())
    return Promise.race([allHealthy, ...checks.map((check) => endlessly(keepTrying(round, check, phase)))])
  })
}

async function settle(
  round: Round,
  checks: readonly Check[],
  limits: { startedAt: number; deadline: number; signal: AbortSignal },
): Promise<Trouble> {
  const { board, clock, settleMs } = round
  const now = clock.monotonic()
  const time = now + settleMs
  if (time > limits.deadline) {
    const took = showDuration(now - limits.startedAt)
    return `healthy only after ${took}, which leaves no time to stay so for ${showDuration(settleMs)}`
  }
  round.onEvent({ kind: 'settling', milliseconds: settleMs })
  const troubled = board.until(() => !board.allHealthy())
  const stayed = Promise.all([
    clock.sleep(settleMs, limits.signal),
    ...checks.map((check) => tryUntil(round, check, { time, signal: limits.signal })),
  ])
  return Promise.race([
    troubled.then(() => `${board.firstTrouble()}, after it had been healthy`),
    stayed.then(() => undefined),
  ])
}

/** Ends a race only by failing. */
const endlessly = (work: Promise<void>): Promise<never> => work.then(() => new Promise<never>(() => {}))

async function follow(watch: AsyncIterable<Watched>, board: Board, signal: AbortSignal): Promise<Trouble> {
  const watching = watch[Symbol.asyncIterator]()
  const stop = () => void watching.return?.().catch(() => {})
  signal.addEventListener('abort', stop, { once: true })
  const lost = 'contact was lost while the units were watched'
  try {
    for (;;) {
      const { done, value } = await watching.next()
      if (done) return lost
      board.tellWatched(value)
      if (!value.healthy && value.final) return value.reason
    }
  } catch (error) {
    if (error instanceof Problem) return error.kind === 'unreachable' ? `${lost}: ${error.message}` : error.message
    throw error
  }
}
