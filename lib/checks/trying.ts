/** Asking again and again. */
import type { Clock } from '../clock.ts'
import { attempt } from './attempt.ts'
import type { Board, VerifyEvent } from './board.ts'
import type { Check, Surroundings } from './check.ts'

/** What the tries of one verification have in common. */
export interface Round {
  readonly surroundings: Surroundings
  readonly clock: Clock
  readonly board: Board
  readonly settleMs: number
  onEvent(event: VerifyEvent): void
}

/** Until aborted; when nothing has to stay healthy, only until the first time that it is. */
export async function keepTrying(round: Round, check: Check, signal: AbortSignal): Promise<void> {
  for (;;) {
    const isHealthy = await tryOnce(round, check, signal)
    if (isHealthy && round.settleMs === 0) return
    await round.clock.sleep(check.intervalMs, signal)
  }
}

/** Every interval until that time, and once more after it. */
export async function tryUntil(
  round: Round,
  check: Check,
  until: { time: number; signal: AbortSignal },
): Promise<void> {
  const { clock } = round
  for (let triedAt = clock.monotonic(); triedAt < until.time; ) {
    await clock.sleep(Math.max(0, Math.min(check.intervalMs, until.time - clock.monotonic())), until.signal)
    triedAt = clock.monotonic()
    await tryOnce(round, check, until.signal)
  }
}

async function tryOnce(round: Round, check: Check, signal: AbortSignal): Promise<boolean> {
  const health = await attempt(check, round, signal)
  const before = round.board.latest(check)
  const { title } = check
  if (health.healthy) {
    if (!before?.healthy) round.onEvent({ kind: 'healthy', title })
  } else if (before?.healthy !== false || before.reason !== health.reason) {
    round.onEvent({ kind: 'unhealthy', title, reason: health.reason })
  }
  round.board.tell(check, health)
  return health.healthy
}
