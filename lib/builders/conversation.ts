/** One evaluation on the builder: the control machine's side of lib/builders/evaluation-script.ts. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Channel, Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { BuilderEvents } from './builder.ts'
import { EvaluationLog } from './evaluation-log.ts'
import { evaluationScript } from './evaluation-script.ts'
import { Lines } from './lines.ts'
import type { GitSnapshot } from './snapshot.ts'

export interface ConversationRequest {
  /** for the evaluation script, after the lock's name and in the order of the sources */
  readonly lock: string
  readonly sources: readonly (readonly string[])[]
  /** of those sources that are git repositories, in the same order */
  readonly snapshots: readonly GitSnapshot[]
  /** for `nix eval` */
  readonly nixArguments: readonly string[]
  readonly firstQuestion: string
  /** that the first question needs; less there, and it is not answered */
  readonly neededBytes: number
}

/** `json` is empty when Nix failed, and `errors` says why. */
export interface Answer {
  readonly json: string
  readonly errors: string
  /** derivations that were built for the evaluation (import from derivation) and that the errors name */
  readonly builds: readonly string[]
  /** of the memory of the builder, where there is too little for the question */
  readonly availableBytes: number | undefined
}

/** What the builder once had is no longer whole, and was thrown away: everything has to be sent again. */
export class MirrorBroken extends Error {}

interface About {
  readonly events: BuilderEvents
  readonly signal: AbortSignal
}

export class Conversation {
  readonly #machine: Machine
  readonly #channel: Channel
  readonly #lines: Lines
  readonly #log: EvaluationLog
  readonly #signal: AbortSignal

  private constructor(machine: Machine, channel: Channel, about: About & { overridden: readonly string[] }) {
    this.#machine = machine
    this.#channel = channel
    this.#lines = new Lines(channel.stdout)
    this.#log = new EvaluationLog(channel, about.events, { ...about, builder: machine.name })
    this.#signal = about.signal
  }

  /** Ships what the builder lacks and asks the first question; its answer is the first one. */
  static async begin(machine: Machine, request: ConversationRequest, about: About): Promise<Conversation> {
    const { lock, sources, snapshots, firstQuestion, neededBytes, nixArguments } = request
    const needed = String(Math.ceil(neededBytes / 1024))
    const args = [lock, String(sources.length), needed, ...sources.flat(), ...nixArguments]
    const channel = await machine.open({ argv: ['sh', '-c', evaluationScript, 'deploy', ...args] }, about.signal)
    const conversation = new Conversation(machine, channel, {
      ...about,
      overridden: sources.flatMap(([input = '-', kind]) =>
        input === '-' || kind === 'submodule' || kind === 'fetched' ? [] : [input],
      ),
    })
    conversation.#say(firstQuestion)
    try {
      for (const snapshot of snapshots) await conversation.#send(snapshot, about.events)
      return conversation
    } catch (error) {
      channel.close()
      throw error
    }
  }

  /** The answer to the oldest question that has none yet. */
  async answer(): Promise<Answer> {
    let json = ''
    let availableBytes: number | undefined
    for (;;) {
      const line = await this.#next()
      const exit = /^exit (\d+)$/.exec(line)
      if (exit) {
        const errors = withSignal(await this.#log.errors(), Number(exit[1]), this.#machine.name)
        return { json: exit[1] === '0' ? json : '', errors, builds: this.#log.buildsIn(errors), availableBytes }
      }
      const memory = /^memory (\d+)$/.exec(line)?.[1]
      if (memory !== undefined) availableBytes = Number(memory) * 1024
      else if (line !== '') json = line
    }
  }

  async ask(question: string): Promise<Answer> {
    this.#say(question)
    return await this.answer()
  }

  /** No more questions. What still runs is ended. */
  end(): void {
    this.#channel.stdin.end()
  }

  /** The script puts the line ends back. */
  #say(question: string): void {
    this.#channel.stdin.write(`${question.replaceAll('\n', '\u001e')}\n`)
  }

  async #send(snapshot: GitSnapshot, events: BuilderEvents): Promise<void> {
    const haves: string[] = []
    for (let line = await this.#next(); line !== 'send'; line = await this.#next()) {
      if (line.startsWith('have ')) haves.push(line.slice('have '.length))
    }
    const pack = await snapshot.pack(haves)
    let sent = 0
    const counted = Readable.from(
      (async function* () {
        for await (const chunk of pack) {
          sent += (chunk as Buffer).length
          if (sent > 1e6) events.progress(`sending the flake, ${Math.floor(sent / 1e6)} MB`)
          yield chunk
        }
      })(),
      { objectMode: false },
    )
    try {
      await pipeline(counted, this.#channel.stdin, { end: false })
    } catch (error) {
      // The builder's own words, if it gave up; the broken pipe itself says nothing.
      if (error instanceof Problem) throw error
      await this.#next()
      throw error
    }
  }

  async #next(): Promise<string> {
    const line = await this.#lines.next().catch(() => undefined)
    this.#signal.throwIfAborted()
    if (line === undefined) throw await this.#ended()
    if (line.startsWith('problem ')) throw await this.#refused(line.slice('problem '.length))
    return line
  }

  async #ended(): Promise<Problem> {
    const exit = await this.#channel.exit
    const name = this.#machine.name
    if (exit.lost) return new Problem(`lost the connection to ${name}`, { kind: 'unreachable', stage: 'evaluate' })
    const how = exit.signal ?? `exit ${exit.code}`
    return new Problem(`the evaluation on ${name} ended early (${how})`, {
      stage: 'evaluate',
      detail: this.#channel.errorOutput().trim(),
    })
  }

  async #refused(reason: string): Promise<Error> {
    if (reason === 'incomplete') return new MirrorBroken()
    await this.#channel.exit
    const detail = this.#channel.errorOutput().trim()
    const { message, hints } = refusals[reason] ?? { message: reason, hints: [] }
    return new Problem(`${this.#machine.name} ${message}`, { stage: 'evaluate', hints, detail })
  }
}

/** What a shell says of a command that a signal has ended is 128 and its number; 9 is the kernel's, when memory is gone. */
const withSignal = (errors: string, code: number, name: string): string => {
  if (code <= 128) return errors
  const why = code === 137 ? `: has ${name} run out of memory?` : ''
  return [errors, `nix was ended by signal ${code - 128}${why}`].filter((part) => part !== '').join('\n')
}

const refusals: Record<string, { message: string; hints: string[] }> = {
  'no-nix': { message: 'has no nix command', hints: ['install Nix there, or name another builder'] },
  'no-git': { message: 'has no git command, which Nix needs for flakes', hints: ['install git there'] },
  'no-room': {
    message: "can't keep sources in ~/.cache/deploy",
    hints: ['look for a full disk or missing rights there'],
  },
  'no-pack': { message: 'did not accept what git sent', hints: ['look for a full disk there'] },
  'odd-home': { message: 'has a home directory whose name Nix would misread', hints: ['log in as another user'] },
}
