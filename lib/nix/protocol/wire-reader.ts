/** Reads the worker protocol's integers, strings and lists from a stream, and leaves raw bytes to whoever wants them. */
import type { Readable } from 'node:stream'
import { padding } from './wire.ts'

/** The stream ended where more was due. */
export class EndOfStream extends Error {
  override readonly name = 'EndOfStream'
}

/** What came makes no sense in the worker protocol. */
export class NotUnderstood extends Error {
  override readonly name = 'NotUnderstood'
}

/** Nothing in the protocol comes near it: a longer string is a sign that we read something else. */
const longestString = 64 * 1024 * 1024

export class WireReader {
  readonly #pieces: AsyncIterator<Buffer>
  #buffer: Buffer = Buffer.alloc(0)

  constructor(stream: Readable) {
    this.#pieces = stream[Symbol.asyncIterator]()
  }

  /** The next bytes, as many as there are at hand and at least one. Rejects with EndOfStream. */
  async some(): Promise<Buffer> {
    if (this.#buffer.length > 0) {
      const bytes = this.#buffer
      this.#buffer = bytes.subarray(bytes.length)
      return bytes
    }
    for (;;) {
      const next = await this.#pieces.next().catch((cause: unknown) => {
        throw new EndOfStream('the stream broke', { cause })
      })
      if (next.done) throw new EndOfStream('the stream ended')
      if (next.value.length > 0) return next.value
    }
  }

  /** Gives back what was read too far: it is what will be read next. */
  putBack(bytes: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([bytes, this.#buffer])
  }

  /** What has come and was not read, without waiting for more. */
  atHand(): Buffer {
    return this.#buffer
  }

  /** Exactly that many. When the stream ends before, what came stays at hand. */
  async bytes(length: number): Promise<Buffer> {
    if (this.#buffer.length < length) {
      const pieces: Buffer[] = []
      try {
        for (let missing = length; missing > 0; ) {
          const piece = await this.some()
          pieces.push(piece)
          missing -= piece.length
        }
      } finally {
        this.#buffer = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)
      }
    }
    const bytes = this.#buffer.subarray(0, length)
    this.#buffer = this.#buffer.subarray(length)
    return bytes
  }

  /** Throws NotUnderstood above 2^53 - 1. */
  async integer(): Promise<number> {
    const bytes = await this.bytes(8)
    const value = bytes.readUInt32LE(4) * 2 ** 32 + bytes.readUInt32LE(0)
    if (!Number.isSafeInteger(value)) throw new NotUnderstood(`a number too large to be a size: ${value}`)
    return value
  }

  /** The lower 53 bits: for numbers that only tell things apart, or that are shown and not counted with. */
  async roughInteger(): Promise<number> {
    const bytes = await this.bytes(8)
    return (bytes.readUInt32LE(4) % 2 ** 21) * 2 ** 32 + bytes.readUInt32LE(0)
  }

  async boolean(): Promise<boolean> {
    return (await this.integer()) !== 0
  }

  async string(): Promise<string> {
    const length = await this.integer()
    if (length > longestString) throw new NotUnderstood(`a string of ${length} bytes`)
    const bytes = await this.bytes(length + padding(length))
    return bytes.toString('utf8', 0, length)
  }

  async list<Item>(item: () => Promise<Item>): Promise<Item[]> {
    const items: Item[] = []
    for (let left = await this.integer(); left > 0; left--) items.push(await item())
    return items
  }

  strings(): Promise<string[]> {
    return this.list(() => this.string())
  }
}
