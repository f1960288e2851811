/** The framed stream: pieces, each after its length and without padding, ended by a length of 0 (since protocol 1.23). */
import { integer } from './wire.ts'

/** Empty pieces are left out: they would end the stream. When the source throws, the end is never written. */
export async function* framed(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    if (piece.length === 0) continue
    yield integer(piece.length)
    yield piece
  }
  yield integer(0)
}

/** The same bytes in pieces of that size (the last one may be smaller): small writes cost a packet each. */
export async function* inPiecesOf(size: number, source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let piece = Buffer.allocUnsafe(size)
  let filled = 0
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; ) {
      const taken = Math.min(size - filled, bytes.length - at)
      piece.set(bytes.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled < size) continue
      yield piece
      piece = Buffer.allocUnsafe(size)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}
