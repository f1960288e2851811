/** One try of a check, within its time limit. */
import type { Clock } from '../clock.ts'
import { showDuration } from '../inventory/duration.ts'
import { Problem } from '../problem.ts'
import type { Check, Health, Surroundings } from './check.ts'
import { unhealthy } from './health.ts'
import { scoped } from './scope.ts'

/**
 * Resolves at the latest when the check's time is up, whether or not the check heeds its signal. Rejects with the
 * signal's reason when aborted.
 */
export function attempt(
  check: Check,
  place: { readonly surroundings: Surroundings; readonly clock: Clock },
  signal: AbortSignal,
): Promise<Health> {
  return scoped(signal, async (own) => {
    const timeUp = place.clock.sleep(check.timeoutMs, own)
    const tooLate = timeUp.then(() => unhealthy(`no answer within ${showDuration(check.timeoutMs)}`))
    try {
      return await Promise.race([check.run(place.surroundings, own), tooLate])
    } catch (error) {
      if (error instanceof Problem) return unhealthy(error.message)
      throw error
    }
  })
}
