/** Lines for people, before anybody knows how wide they may be or whether there is colour. */

export type Tone = 'good' | 'bad' | 'careful' | 'quiet' | 'strong'

export type Span = string | { readonly text: string; readonly tone: Tone }

export type Line = readonly Span[]

const toned =
  (tone: Tone) =>
  (text: string): Span => ({ text, tone })

export const good = toned('good')
export const bad = toned('bad')
export const careful = toned('careful')
export const quiet = toned('quiet')
export const strong = toned('strong')

export const textOf = (span: Span): string => (typeof span === 'string' ? span : span.text)

export const withText = (span: Span, text: string): Span => (typeof span === 'string' ? text : { ...span, text })

export const plain = (line: Line): string => line.map(textOf).join('')
