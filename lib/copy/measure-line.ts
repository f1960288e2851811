/**
 * Measures the line to a machine with some zeros, which SSH sends as they are, and asks what it can compress with: a few
 * turns, beside the questions that a copy begins with. What counts is the time between one block and the last, so that
 * neither the length of the line nor the start of a program matters.
 */
import type { Clock } from '../clock.ts'
import type { Machine } from '../machine/machine.ts'
import type { CodecName, Line } from './compression.ts'

const blockBytes = 64 * 1024
/** The first one only starts the clock. */
const blocks = 6

/** Bytes a second that a busy computer may show of a line that is in truth faster: measured once more. */
const doubtful = { from: 3e6, to: 15e6 }

const names: readonly CodecName[] = ['zstd', 'gzip']
const ask = `for name in ${names.join(' ')}; do command -v $name > /dev/null && printf '%s ' $name; done; echo`

/** After each line that they read. */
const scripts = {
  /** from the machine to us */
  down: `${ask}; while read -r line; do head -c ${blocks * blockBytes} /dev/zero; done`,
  /** from us to the machine */
  up: `${ask}; while read -r line; do for block in 1 2 3 4 5 6; do head -c ${blockBytes} > /dev/null; echo; done; done`,
} as const

export interface Measured {
  readonly machine: Machine
  /** Root may find other programs than the user who logs in. */
  readonly asRoot: boolean
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** `down` is from the machine to us. Rejects when the machine doesn't play along. */
export async function measureLine(direction: 'down' | 'up', measured: Measured): Promise<Line> {
  const { machine, asRoot, clock, signal } = measured
  const channel = await machine.open({ argv: ['sh', '-c', scripts[direction]], asRoot }, signal, { atOnce: true })
  try {
    const pieces = new Pieces(channel.stdout)
    const said = (await pieces.line()).split(' ')
    const once = async () => {
      channel.stdin.write('\n')
      if (direction === 'up') channel.stdin.write(Buffer.alloc(blocks * blockBytes))
      const take = direction === 'up' ? () => pieces.line() : () => pieces.skip(blockBytes)
      await take()
      const start = clock.monotonic()
      for (let left = blocks - 1; left > 0; left--) await take()
      return ((blocks - 1) * blockBytes * 1000) / Math.max(1, clock.monotonic() - start)
    }
    const first = await once()
    const isDoubtful = first > doubtful.from && first < doubtful.to
    const rate = isDoubtful ? Math.max(first, await once()) : first
    return { rate, has: names.filter((name) => said.includes(name)) }
  } finally {
    channel.close()
  }
}

/** What comes, by lines or by numbers of bytes. */
class Pieces {
  readonly #iterator: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(stream: AsyncIterable<Buffer>) {
    this.#iterator = stream[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf('\n')
      if (end >= 0) return this.#take(end + 1).toString('utf8', 0, end)
      this.#rest = Buffer.concat([this.#rest, await this.#more()])
    }
  }

  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#more()
      left -= this.#take(Math.min(left, this.#rest.length)).length
    }
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }

  async #more(): Promise<Buffer> {
    const { value, done } = await this.#iterator.next()
    if (done) throw new Error('it ended early')
    return value
  }
}
