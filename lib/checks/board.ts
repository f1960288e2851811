/** What is known of everyone's health at the moment, and what is told of it. */
import type { Check, Health } from './check.ts'

/** What is watched beside the checks: always the whole truth of its moment. */
export type Watched =
  | { readonly healthy: true }
  /** `final`: no waiting makes it better. */
  | { readonly healthy: false; readonly reason: string; readonly final: boolean }

export type VerifyEvent =
  | { readonly kind: 'healthy'; readonly title: string }
  /** Told again only when the reason is another one. */
  | { readonly kind: 'unhealthy'; readonly title: string; readonly reason: string }
  /** Everything is healthy, and must now stay so. */
  | { readonly kind: 'settling'; readonly milliseconds: number }

export class Board {
  readonly #latest = new Map<Check, Health>()
  readonly #required: readonly Check[]
  readonly #waiting = new Set<() => void>()
  #watched: Watched | undefined

  /** `watched` is undefined when something is watched and hasn't said anything yet. */
  constructor(required: readonly Check[], watched: Watched | undefined) {
    this.#required = required
    this.#watched = watched
  }

  latest(check: Check): Health | undefined {
    return this.#latest.get(check)
  }

  tell(check: Check, health: Health): void {
    this.#latest.set(check, health)
    this.#changed()
  }

  tellWatched(watched: Watched): void {
    this.#watched = watched
    this.#changed()
  }

  /** Resolves as soon as the condition holds. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  allHealthy(): boolean {
    return this.#watched?.healthy === true && this.#required.every((check) => this.#latest.get(check)?.healthy)
  }

  /** One line: the first thing that isn't healthy (units before the checks that depend on them), and how many more. */
  firstTrouble(): string {
    const troubles = this.#required.flatMap((check) => {
      const health = this.#latest.get(check)
      return health?.healthy ? [] : [`${check.title}: ${health?.reason ?? 'no answer yet'}`]
    })
    if (this.#watched?.healthy === false) troubles.unshift(this.#watched.reason)
    if (this.#watched === undefined) troubles.push('nothing is known of the units yet')
    const more = troubles.length - 1
    return `${troubles[0] ?? ''}${more > 0 ? ` (and ${more} more)` : ''}`
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }
}
