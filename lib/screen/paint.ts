/** From a line to what is written: nothing but printable characters, as wide as there is room, with colour or without. */
import { stripVTControlCharacters } from 'node:util'
import { type Line, type Tone, textOf, withText } from './line.ts'
import { fitted } from './width.ts'

export interface Canvas {
  /** undefined: as wide as needed, because nobody looks at it on a terminal */
  readonly columns: number | undefined
  readonly colour: boolean
  /** false: only ASCII, because the locale says that nothing else can be shown */
  readonly unicode: boolean
}

// ECMA-48 SGR: set and reset.
const codes: Readonly<Record<Tone, readonly [number, number]>> = {
  good: [32, 39],
  bad: [31, 39],
  careful: [33, 39],
  quiet: [2, 22],
  strong: [1, 22],
}

const inAscii: Readonly<Record<string, string>> = {
  '✓': '+',
  '✗': 'x',
  '…': '...',
  '·': '-',
  '│': '|',
  '→': '->',
  '–': '-',
  '‘': "'",
  '’': "'",
}

/**
 * What a host or a builder printed may carry escape sequences, which would move our cursor or worse, and invisible
 * characters that turn the direction of writing. Of a line that was overwritten (`10%\r20%`) the last state stays.
 */
export function printable(text: string): string {
  const lastState = text.replace(/\r+$/, '').replace(/^.*\r/s, '')
  return stripVTControlCharacters(lastState)
    .replaceAll('\t', '  ')
    .replace(/[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, '')
}

export function paint(line: Line, canvas: Canvas): string {
  const shown = line.map((span) => {
    const text = printable(textOf(span))
    return withText(span, canvas.unicode ? text : text.replace(/[✓✗…·│→–‘’]/g, (symbol) => inAscii[symbol] ?? '?'))
  })
  const fitting = canvas.columns === undefined ? shown : fitted(shown, canvas.columns, canvas.unicode ? '…' : '...')
  return fitting
    .map((span) => {
      if (typeof span === 'string' || !canvas.colour || span.text === '') return textOf(span)
      const [set, reset] = codes[span.tone]
      return `\u001b[${set}m${span.text}\u001b[${reset}m`
    })
    .join('')
}
