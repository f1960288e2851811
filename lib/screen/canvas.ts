/** What can be shown on a stream, by the customs of the environment. */
import type { Canvas } from './paint.ts'

export interface Stream {
  readonly isTTY?: boolean
  readonly columns?: number
}

export type Environment = Readonly<Record<string, string | undefined>>

/** FORCE_COLOR wins over NO_COLOR, as in Node itself; https://no-color.org wants a value that isn't empty. */
export function hasColour(stream: Stream, environment: Environment): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = environment
  if (force !== undefined) return force !== '0' && force !== 'false'
  if (no) return false
  return stream.isTTY === true && term !== 'dumb'
}

/** By the locale, in the order of setlocale(3). Without any it is C, which is ASCII: so it is under cron. */
export function hasUnicode({ LC_ALL, LC_CTYPE, LANG, TERM }: Environment): boolean {
  return TERM !== 'linux' && /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '')
}

/**
 * Whether what was written can be written over: a terminal that moves its cursor, and no log of a CI that poses as one.
 * One without a size (ssh -tt, a container's) doesn't say how many lines that was.
 */
export const canAnimate = (stream: Stream, { TERM, CI }: Environment): boolean =>
  stream.isTTY === true && stream.columns !== 0 && TERM !== 'dumb' && TERM !== undefined && CI === undefined

export const canvasOf = (stream: Stream, environment: Environment): Canvas => ({
  columns: stream.isTTY ? stream.columns || 80 : undefined,
  colour: hasColour(stream, environment),
  unicode: hasUnicode(environment),
})
