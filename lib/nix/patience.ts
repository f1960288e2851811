/** How long a copy may stand still: a daemon that hangs must not hold up a rollout, or a cron job, for ever. */
import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'

const standstillMinutes = 10
/** A slow card may write a large path back for minutes, and a substituter that is slow is waited for. */
export const standstillMs = standstillMinutes * 60_000

export interface Patience {
  /** Aborted with a Problem when nothing has moved for that long, or with the reason of the signal given. */
  readonly signal: AbortSignal
  /** Something moved. */
  moved(): void
  end(): void
}

/** `what`: the copy, in words for the message. */
export function patience(what: string, { clock, signal }: { clock: Clock; signal: AbortSignal }): Patience {
  const tooLong = new AbortController()
  const over = new AbortController()
  let last = clock.monotonic()
  const watch = async () => {
    for (let left = standstillMs; left > 0; left = last + standstillMs - clock.monotonic())
      await clock.sleep(left, over.signal)
    tooLong.abort(
      new Problem(`${what} made no progress for ${standstillMinutes} min`, {
        hints: ['paths that arrived stay there', 'see what its Nix does: systemctl status nix-daemon'],
      }),
    )
  }
  watch().catch(() => {})
  return {
    signal: AbortSignal.any([signal, tooLong.signal]),
    moved() {
      last = clock.monotonic()
    },
    end: () => over.abort(),
  }
}
