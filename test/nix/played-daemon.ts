/**
 * The other side of the protocol, played by a test that wants a daemon to misbehave: the real ones are in
 * test/scenarios/store.test.ts.
 */
import { PassThrough } from 'node:stream'
import { greeting, said } from '../../lib/nix/protocol/operations.ts'
import { integer, string, strings } from '../../lib/nix/protocol/wire.ts'
import { WireReader } from '../../lib/nix/protocol/wire-reader.ts'
import type { DaemonStreams } from '../../lib/nix/worker-protocol.ts'

export class PlayedDaemon {
  readonly toDaemon = new PassThrough()
  readonly fromDaemon = new PassThrough()
  readonly reader = new WireReader(this.toDaemon)
  errorOutput = ''
  #gone: () => void = () => {}
  readonly #closed = new Promise<void>((resolve) => {
    this.#gone = resolve
  })

  get streams(): DaemonStreams {
    return {
      input: this.toDaemon,
      output: this.fromDaemon,
      errorOutput: () => this.errorOutput,
      closed: this.#closed,
      close: () => this.#gone(),
    }
  }

  say(...parts: Uint8Array[]): void {
    this.fromDaemon.write(Buffer.concat(parts))
  }

  /** Ends as a process that exits. */
  exit(): void {
    this.fromDaemon.end()
    this.#gone()
  }

  /** Greets a client as a daemon of that protocol does, and reads the client's greeting. */
  async greet(minor: number, features: readonly string[] = []): Promise<number[]> {
    this.say(integer(greeting.daemon), integer(0x100 + minor))
    const heard = [await this.reader.integer(), await this.reader.integer()]
    if (minor >= 38) {
      this.say(strings(features))
      await this.reader.strings()
    }
    heard.push(await this.reader.integer(), await this.reader.integer())
    if (minor >= 33) this.say(string(`nix of 1.${minor}`))
    if (minor >= 35) this.say(integer(2))
    this.answer()
    return heard
  }

  answer(...parts: Uint8Array[]): void {
    this.say(integer(said.last), ...parts)
  }

  fail(message: string, traces: readonly string[] = []): void {
    this.say(...errorParts(message, traces))
  }
}

export const errorParts = (message: string, traces: readonly string[] = []): Buffer[] => [
  integer(said.error),
  string('Error'),
  integer(0),
  string('Error'),
  string(message),
  integer(0),
  integer(traces.length),
  ...traces.flatMap((trace) => [integer(0), string(trace)]),
]
