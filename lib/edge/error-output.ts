/** Standard error of a running command: always taken, its end kept, and passed on to whoever listens. */
import { StringDecoder } from 'node:string_decoder'

const kept = 64 * 1024

export class ErrorOutput {
  #chunks: Buffer[] = []
  #size = 0
  readonly #decoder = new StringDecoder('utf8')
  readonly #listeners: ((text: string) => void)[] = []

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    while (this.#size - (this.#chunks[0]?.length ?? 0) >= kept) this.#size -= this.#chunks.shift()?.length ?? 0
    const text = this.#decoder.write(chunk)
    if (text !== '') for (const listener of this.#listeners) listener(text)
  }

  /** A listener that comes late hears first what was said before, as far as it is kept. */
  listen(listener: (text: string) => void): void {
    const before = new StringDecoder('utf8').write(this.#tail())
    if (before !== '') listener(before)
    this.#listeners.push(listener)
  }

  /** The last 64 KiB. */
  text(): string {
    return this.#tail().toString('utf8')
  }

  /** Without what is left of a character that was cut in two at the front. */
  #tail(): Buffer {
    const whole = Buffer.concat(this.#chunks)
    const tail = whole.subarray(Math.max(0, whole.length - kept))
    let start = 0
    while (tail.length < whole.length && start < 4 && ((tail[start] ?? 0) & 0xc0) === 0x80) start += 1
    return tail.subarray(start)
  }
}
