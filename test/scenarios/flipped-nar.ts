/** Damage on the way. */
import { Readable } from 'node:stream'
import type { Nar } from '../../lib/nix/store.ts'

/** One bit of the contents, after a mebibyte. */
export const flipped = ({ info, bytes }: Nar): Nar => {
  async function* pieces() {
    let at = 0
    for await (const piece of bytes as AsyncIterable<Buffer>) {
      const place = 2 ** 20 - at
      const copy = Buffer.from(piece)
      if (place >= 0 && place < copy.length) copy.writeUInt8(copy.readUInt8(place) ^ 1, place)
      at += piece.length
      yield copy
    }
  }
  return { info, bytes: Readable.from(pieces(), { objectMode: false }) }
}
