/**
 * How the worker protocol writes things: integers are 64 bits, little endian; strings are their length, their bytes
 * and zeros up to a multiple of 8; lists are their length and their items (Nix manual, "Serialisation").
 */

/** For counts, sizes and codes: whole numbers from 0 to 2^53 - 1. Throws a RangeError for others. */
export function integer(value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a whole number: ${value}`)
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeUInt32LE(value % 2 ** 32, 0)
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), 4)
  return bytes
}

export const boolean = (value: boolean): Buffer => integer(value ? 1 : 0)

export function string(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([integer(bytes.length), bytes, Buffer.alloc(padding(bytes.length))])
}

export const strings = (texts: readonly string[]): Buffer =>
  Buffer.concat([integer(texts.length), ...texts.map(string)])

/** How many zeros follow that many bytes. */
export const padding = (length: number): number => (8 - (length % 8)) % 8
