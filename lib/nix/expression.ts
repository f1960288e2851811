/** Nix expressions made from values. Every value gets into one through here. */

/** A string literal, on one line. Throws on NUL, which Nix's strings can't hold. */
export function quoteString(text: string): string {
  if (text.includes('\0')) throw new RangeError('a Nix string cannot contain a NUL character')
  const escaped = text.replace(/["\\$\n\r\t]/g, (character) => escapes[character] ?? `\\${character}`)
  return `"${escaped}"`
}

const escapes: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }
