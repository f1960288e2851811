/** How many columns of a terminal a text takes, and how to make it take fewer. */
import { type Line, type Span, textOf, withText } from './line.ts'

// East Asian Wide and Fullwidth (Unicode, UAX #11), by their large blocks.
const wide =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})$/u
const zero = /^[\p{M}\p{Cf}]$/u

const columnsOf = (character: string) => (zero.test(character) ? 0 : wide.test(character) ? 2 : 1)

export function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += columnsOf(character)
  return width
}

export const lineWidth = (line: Line): number => line.reduce((sum, span) => sum + widthOf(textOf(span)), 0)

/** The text followed by blanks, at least that wide. */
export const padded = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - widthOf(text)))

/** At most that wide; what was cut off shows as `ellipsis`. */
export function fitted(line: Line, columns: number, ellipsis = '…'): Line {
  if (lineWidth(line) <= columns) return line
  let room = columns - widthOf(ellipsis)
  const fitting: Span[] = []
  for (const span of line) {
    let text = ''
    for (const character of textOf(span)) {
      const width = columnsOf(character)
      if (width > room) return [...fitting, withText(span, text + ellipsis)]
      room -= width
      text += character
    }
    fitting.push(withText(span, text))
  }
  return fitting
}

/** Broken between words, or inside a word that is too long; every line but the first begins with `indent` blanks. */
export function wrapped(line: Line, columns: number, indent: number): Line[] {
  const room = Math.max(1, columns - indent)
  const lines: Span[][] = []
  let current: Span[] = []
  let used = 0
  let hasWord = false
  const end = () => {
    // The blank that a line was broken at belongs to neither side.
    const last = current.pop()
    if (last !== undefined) current.push(withText(last, textOf(last).trimEnd()))
    lines.push(current)
    current = [' '.repeat(indent)]
    used = indent
    hasWord = false
  }
  for (const span of line) {
    for (const word of textOf(span).split(/(?<=\s)(?=\S)/)) {
      for (const piece of pieces(word, room)) {
        if (hasWord && used + widthOf(piece.trimEnd()) > columns) end()
        current.push(withText(span, piece))
        used += widthOf(piece)
        if (piece.trim() !== '') hasWord = true
      }
    }
  }
  return [...lines, current]
}

function pieces(word: string, room: number): string[] {
  if (widthOf(word.trimEnd()) <= room) return [word]
  const parts = ['']
  let used = 0
  for (const character of word) {
    const width = columnsOf(character)
    if (used + width > room) {
      parts.push('')
      used = 0
    }
    parts[parts.length - 1] += character
    used += width
  }
  return parts
}
