/** What Nix is doing, in words, from its events: during an evaluation and during a build. */

import type { NixEvent } from './store.ts'
import { nameOf, parseStorePath } from './store-path.ts'

// nix's src/libutil/logging.hh: ActivityType and ResultType.
export const activities = { copyPath: 100, fileTransfer: 101, builds: 104, build: 105, substitute: 108 } as const
export const results = { buildLogLine: 101, progress: 105 } as const

/** Enough to see why a build failed; the whole log is on the builder. */
const keptLines = 20

export interface ActivityListener {
  /** What is being done now: `building nginx-1.26.2 (3 of 12)`; of which derivation or path, where it is of one. */
  progress(text: string, about?: string): void
  /** A line that a build printed, with the name of what is being built in front. */
  log(line: string): void
}

export class Activities {
  readonly #listener: ActivityListener
  /** derivation and where it is built, by activity */
  readonly #building = new Map<number, readonly [derivation: string, where: string]>()
  readonly #counters = new Set<number>()
  readonly #lastLines = new Map<string, string[]>()
  #done = 0
  #expected = 0

  constructor(listener: ActivityListener) {
    this.#listener = listener
  }

  on(event: NixEvent): void {
    if (event.kind === 'start') this.#start(event)
    else if (event.kind === 'stop') this.#stop(event.id)
    else if (event.kind === 'result') this.#result(event)
  }

  /** The derivations that printed something, and the last lines of each. */
  get lastLines(): ReadonlyMap<string, readonly string[]> {
    return this.#lastLines
  }

  #start({ id, type, text, fields }: NixEvent & { kind: 'start' }): void {
    const [what = '', where = ''] = fields.map(String)
    if (type === activities.builds) this.#counters.add(id)
    if (type === activities.build) {
      this.#building.set(id, [what, where])
      this.#tellBuild(what, where)
    } else if (type === activities.substitute)
      this.#listener.progress(`fetching ${shortName(what)} from ${where}`, what)
    else if (type === activities.copyPath) this.#listener.progress(`copying ${shortName(what)}`)
    else if (type === activities.fileTransfer) this.#listener.progress(`downloading ${what}`)
    else if (text !== '') this.#listener.progress(text)
  }

  #tellBuild(what: string, where: string): void {
    const on = where === '' ? '' : ` on ${where}`
    this.#listener.progress(`building ${shortName(what)}${on}${this.#count()}`, what)
  }

  /** What goes on is told again: the one that has been built for longest is what everybody waits for. */
  #stop(id: number): void {
    if (!this.#building.delete(id)) return
    const [longest] = this.#building.values()
    if (longest) this.#tellBuild(...longest)
  }

  #result({ id, type, fields }: NixEvent & { kind: 'result' }): void {
    if (type === results.progress && this.#counters.has(id)) {
      this.#done = Number(fields[0] ?? 0)
      this.#expected = Number(fields[1] ?? 0)
    }
    if (type !== results.buildLogLine) return
    const derivation = this.#building.get(id)?.[0]
    const line = String(fields[0] ?? '')
    this.#listener.log(derivation === undefined ? line : `${shortName(derivation)}> ${line}`)
    if (derivation === undefined) return
    const lines = this.#lastLines.get(derivation) ?? []
    this.#lastLines.set(derivation, [...lines, line].slice(-keptLines))
  }

  #count(): string {
    return this.#expected > 1 ? ` (${this.#done + 1} of ${this.#expected})` : ''
  }
}

/** `nginx-1.26.2` for its path or its derivation; anything else as it is. */
export function shortName(path: string): string {
  try {
    return nameOf(parseStorePath(path)).replace(/\.drv$/, '')
  } catch {
    return path
  }
}
