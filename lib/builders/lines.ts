/** A stream that starts with lines and may go on with bytes. */
import type { Readable } from 'node:stream'

export class Lines {
  readonly #chunks: AsyncIterator<Buffer>
  #buffered: Buffer = Buffer.alloc(0)

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** The next line without its end, or undefined at the end of the stream. */
  async next(): Promise<string | undefined> {
    let searched = 0
    for (;;) {
      const at = this.#buffered.indexOf(0x0a, searched)
      if (at >= 0) {
        const line = this.#buffered.toString('utf8', 0, at)
        this.#buffered = this.#buffered.subarray(at + 1)
        return line
      }
      searched = this.#buffered.length
      const chunk = await this.#chunks.next()
      if (chunk.done) return undefined
      this.#buffered = Buffer.concat([this.#buffered, chunk.value])
    }
  }

  /** Everything that comes after the lines read so far. */
  async *rest(): AsyncGenerator<Buffer> {
    yield this.#buffered
    for (let chunk = await this.#chunks.next(); !chunk.done; chunk = await this.#chunks.next()) yield chunk.value
  }
}
