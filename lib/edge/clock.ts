/** The real time. */
import { setTimeout as after } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  now: () => new Date(),
  async sleep(milliseconds, signal) {
    try {
      await after(milliseconds, undefined, signal ? { signal } : {})
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  },
}
