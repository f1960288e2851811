/** What Nix says during an evaluation on the builder: progress as it happens, and the errors of each answer. */

import type { Channel } from '../machine/machine.ts'
import { Activities } from '../nix/activity.ts'
import { parseLogLine } from '../nix/internal-json.ts'
import type { BuilderEvents } from './builder.ts'

const incompleteLock = 'flake.lock does not fit flake.nix: run nix flake lock and commit it. This time Nix went on with'
const endOfAnswer = '\u001e'

export class EvaluationLog {
  readonly #events: BuilderEvents
  readonly #activities: Activities
  readonly #warned = new Set<string>()
  readonly #overridden: readonly string[]
  #partial = ''
  #errors: string[] = []
  #answers: string[] = []
  #waiting: (() => void)[] = []
  #over = false

  /** `overridden`: the inputs that are given from outside the lock file. `builder`: its name. */
  constructor(channel: Channel, events: BuilderEvents, about: { overridden: readonly string[]; builder: string }) {
    this.#events = events
    this.#overridden = about.overridden
    this.#activities = new Activities({
      log: (line) => events.log(line),
      // Import from derivation: that an evaluation takes long is then no riddle.
      progress: (text) =>
        events.progress(text.startsWith('building ') ? `${text} on ${about.builder}, to evaluate` : text),
    })
    channel.onErrorOutput((text) => this.#read(text))
    void channel.exit.then(() => {
      this.#over = true
      this.#wake()
    })
  }

  /** What was printed as an error up to the end of the answer, once it is all here. */
  async errors(): Promise<string> {
    while (this.#answers.length === 0 && !this.#over) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.#answers.shift() ?? this.#errors.join('\n')
  }

  /** Those of its builds that an error names. */
  buildsIn(errors: string): string[] {
    return [...this.#activities.lastLines.keys()].filter((derivation) => errors.includes(derivation))
  }

  #read(text: string): void {
    const lines = (this.#partial + text).split('\n')
    this.#partial = lines.pop() ?? ''
    for (const line of lines) {
      if (line === endOfAnswer) {
        this.#answers.push(this.#errors.join('\n'))
        this.#errors = []
        this.#wake()
      } else this.#line(line)
    }
  }

  #line(line: string): void {
    const parsed = parseLogLine(line)
    if (!parsed) return
    if (parsed.kind === 'event') {
      this.#activities.on(parsed.event)
      return
    }
    if (/^(warning: )?unknown setting 'fsync-store-paths'/.test(withoutColour(parsed.text))) return
    for (const part of parsed.text.split('\n')) this.#events.log(part)
    if (parsed.level === 0) this.#errors.push(parsed.text)
    if (parsed.level === 1) this.#warning(parsed.text)
  }

  #warning(text: string): void {
    const plain = withoutColour(text).replace(/^warning: /, '')
    // About the copy on the builder; that the tree is dirty is in the revision that is shown anyway.
    if (/^Git tree '[^']*' is dirty/.test(plain) || this.#warned.has(plain)) return
    this.#warned.add(plain)
    const [first = '', ...rest] = plain.split('\n')
    if (!first.startsWith('not writing modified lock file')) this.#events.warning(plain)
    else {
      const changes = rest.length > 0 ? changesOf(rest, this.#overridden) : this.#overridden.length > 0 ? [] : ['']
      if (changes.length > 0) this.#events.warning([incompleteLock, ...changes].join('\n').trimEnd())
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** Each begins with `• Added input 'x':`. That an override is not in the lock file is what was asked for. */
function changesOf(lines: readonly string[], overridden: readonly string[]): string[] {
  let isAsked = false
  return lines.filter((line) => {
    const input = /^• .*\binput '([^'/]*)/.exec(line)?.[1]
    if (input !== undefined) isAsked = overridden.includes(input)
    return !isAsked
  })
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour is made of
const withoutColour = (text: string) => text.replace(/\u001b\[[0-9;]*m/g, '')
