/** A limited number of things at once; the others wait for their turn, first come first served. */
export class Slots {
  readonly #limit: number
  #taken = 0
  readonly #waiting: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  get taken(): number {
    return this.#taken
  }

  get isFull(): boolean {
    return this.#taken >= this.#limit
  }

  /** Somebody waits for one. */
  get areWanted(): boolean {
    return this.#waiting.length > 0
  }

  /** Resolves with the way to give the slot back; calling that twice is harmless. */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.isFull) await this.#turn(signal)
    else this.#taken += 1
    return this.#giver()
  }

  /** Undefined when there is none free. */
  takeAtOnce(): (() => void) | undefined {
    if (this.isFull) return undefined
    this.#taken += 1
    return this.#giver()
  }

  #giver(): () => void {
    let given = false
    return () => {
      if (given) return
      given = true
      this.#taken -= 1
      this.#next()
    }
  }

  #next(): void {
    if (this.isFull) return
    const go = this.#waiting.shift()
    if (!go) return
    this.#taken += 1
    go()
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1)
        reject(signal?.reason)
      }
      const go = () => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      signal?.addEventListener('abort', leave)
      this.#waiting.push(go)
    })
  }
}
