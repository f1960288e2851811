import type { Clock } from '../../lib/clock.ts'

interface Sleeper {
  readonly at: number
  wake(): void
}

/** Time that passes only when nobody has anything else to do. */
export class FakeClock implements Clock {
  #time = 0
  readonly #sleepers = new Set<Sleeper>()

  monotonic = (): number => this.#time
  now = (): Date => new Date(this.#time)

  sleep = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const abort = () => {
        this.#sleepers.delete(sleeper)
        reject(signal?.reason)
      }
      const sleeper = {
        at: this.#time + milliseconds,
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', abort)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', abort, { once: true })
    })

  /** How many sleep: what was started and not ended. */
  get sleeping(): number {
    return this.#sleepers.size
  }

  /** Lets time pass until the work is over. Throws when nothing is left that could end it. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    work.then(over, over)
    for (;;) {
      await quiet()
      if (isOver) return work
      const [next] = [...this.#sleepers].sort((a, b) => a.at - b.at)
      if (!next) throw new Error(`nothing sleeps, and the work is not over at ${this.#time} ms`)
      this.#time = next.at
      next.wake()
    }
  }
}

/** Every promise that can go on has gone on: the event loop came around. */
export const quiet = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
