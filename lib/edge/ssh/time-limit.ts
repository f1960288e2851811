/** One limit for all steps and hops of a login, which knows what was waited for when it ended. */
import type { Login } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import type { HostConfigs } from './host-config.ts'
import type { Attempt } from './session.ts'

const defaultTimeout = 30_000
const deepest = 10

export class TimeLimit {
  readonly #login: Login
  readonly #signal: AbortSignal | undefined
  readonly #warn: (text: string) => void
  #step = 'reading the ssh configuration'

  constructor(login: Login, warn: (text: string) => void, signal: AbortSignal | undefined) {
    this.#login = login
    this.#warn = warn
    this.#signal = signal
  }

  async run<T>(work: (attempt: Attempt) => Promise<T>, configs: HostConfigs): Promise<T> {
    const milliseconds = this.#login.timeoutMs ?? defaultTimeout
    const timer = new AbortController()
    const timeout = setTimeout(() => timer.abort(this.#timeUp(milliseconds)), milliseconds)
    const signal = this.#signal ? AbortSignal.any([this.#signal, timer.signal]) : timer.signal
    try {
      return await work(this.#attempt(configs, signal, 0))
    } finally {
      clearTimeout(timeout)
    }
  }

  #attempt(configs: HostConfigs, signal: AbortSignal, depth: number): Attempt {
    const deeper = () => {
      if (depth >= deepest)
        throw new Problem(`the way to ${this.#login.destination} has more than ${deepest} hops`, {
          hints: ['does a ProxyJump of the ssh configuration lead back to itself?'],
        })
      return this.#attempt(configs, signal, depth + 1)
    }
    const doing = (step: string) => {
      this.#step = step
    }
    return { configs, signal, doing, warn: this.#warn, deeper }
  }

  #timeUp(milliseconds: number): Problem {
    return new Problem(`no login to ${this.#login.destination} within ${milliseconds / 1000} s, ${this.#step}`, {
      kind: 'unreachable',
      host: this.#login.name,
    })
  }
}
