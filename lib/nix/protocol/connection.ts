/** One connection to a Nix daemon: whose turn it is, writing with back-pressure, and what is said when it breaks. */
import type { Readable, Writable } from 'node:stream'
import { Problem } from '../../problem.ts'
import { DaemonError, withoutColours } from './said.ts'
import { EndOfStream, NotUnderstood, WireReader } from './wire-reader.ts'

export interface DaemonStreams {
  /** to the daemon */
  readonly input: Writable
  /** from the daemon; must end or be destroyed when the other side is gone */
  readonly output: Readable
  /** what the other side has printed on standard error so far */
  errorOutput?(): string
  /** settles when the other side is gone and all it said has arrived */
  readonly closed: Promise<unknown>
  /** asked after `closed`: the other side can't be reached any more, which makes its loss a problem of that kind */
  isOutOfReach?(): boolean
  /** what ends the other side beyond destroying both streams */
  close?(): void
}

/** The daemon, or the way to it, went away before it had answered. */
export class DaemonLost extends Problem {}

const linesShown = 20

export class Connection {
  readonly reader: WireReader
  /** protocol 1.minor, agreed on by the greeting */
  minor = 0
  readonly #streams: DaemonStreams
  #turn: Promise<unknown> = Promise.resolve()
  #broken: unknown
  #shutAlready = false
  readonly #whenBroken: Promise<void>
  #markBroken: () => void = () => {}

  constructor(streams: DaemonStreams) {
    this.#streams = streams
    // What goes wrong on either stream is seen where the answer is missed; unheard, it would end the program.
    streams.input.on('error', () => {})
    streams.output.on('error', () => {})
    this.reader = new WireReader(streams.output)
    this.#whenBroken = new Promise((resolve) => {
      this.#markBroken = resolve
    })
  }

  /** Waits for all who came before, and returns the function that lets the next one in. Rejects when broken. */
  async turn(): Promise<() => void> {
    let done: () => void = () => {}
    const before = this.#turn
    this.#turn = new Promise<void>((resolve) => {
      done = resolve
    })
    await before
    if (this.#broken) {
      done()
      throw this.#broken
    }
    return done
  }

  /** One operation at a time. Whatever it throws but an error in order breaks the connection. */
  async exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = await this.turn()
    try {
      return await work()
    } catch (error) {
      if (error instanceof DaemonError) throw error
      throw await this.broke(error)
    } finally {
      done()
    }
  }

  /** Writes without waiting: for what is small and bounded. */
  post(bytes: Uint8Array): void {
    if (!this.#broken) this.#streams.input.write(bytes)
  }

  /** Nothing more will be written. */
  endInput(): void {
    this.#streams.input.end()
  }

  /** Writes and waits until there is room for more. Rejects when the connection has broken meanwhile. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#broken) throw this.#broken
    const { input } = this.#streams
    if (input.write(bytes)) return
    let drained: () => void = () => {}
    const drain = new Promise<void>((resolve) => {
      drained = resolve
    })
    input.once('drain', drained)
    // A stream that has been closed never drains; then the answers end too, and whoever waits for them breaks us.
    await Promise.race([drain, this.#whenBroken])
    input.off('drain', drained)
    if (this.#broken) throw this.#broken
  }

  /** Closes, and turns what happened into the Problem that this and every later caller gets. */
  async broke(error: unknown): Promise<unknown> {
    if (this.#broken) return this.#broken
    if (!(error instanceof EndOfStream)) {
      this.#shut()
      return this.#break(inWords(error))
    }
    const detail = await this.lastWords()
    const kind = this.#streams.isOutOfReach?.() ? 'unreachable' : 'failed'
    return this.#break(new DaemonLost('the connection to the Nix daemon was lost', { kind, detail, cause: error }))
  }

  /** Waits for the other side to go, and closes. The end of what it printed on standard error. */
  async lastWords(): Promise<string> {
    const { input, output, closed } = this.#streams
    // One that has said all it had to say goes by itself, and what it printed arrives before that.
    if (output.readableEnded || output.destroyed) input.end()
    else this.#shut()
    await closed.catch(() => {})
    this.#shut()
    const lines = withoutColours(this.#streams.errorOutput?.() ?? '')
      .trimEnd()
      .split('\n')
    return lines.slice(-linesShown).join('\n')
  }

  /** Whoever waits for an answer gets the reason. */
  close(reason = new Problem('the connection to the Nix daemon is closed')): void {
    this.#break(reason)
    this.#shut()
  }

  #break(reason: unknown): unknown {
    this.#broken ??= reason
    this.#markBroken()
    return this.#broken
  }

  #shut(): void {
    if (this.#shutAlready) return
    this.#shutAlready = true
    this.#streams.close?.()
    this.#streams.input.destroy()
    this.#streams.output.destroy()
  }
}

/** Ours is a mistake of this program when it is none of these, and stays as it is. */
const inWords = (error: unknown): unknown =>
  error instanceof NotUnderstood
    ? new Problem('the Nix daemon said something that makes no sense', { detail: error.message, cause: error })
    : error
