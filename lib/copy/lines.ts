/** What is known of the lines to both ends of a copy, and of what this machine can compress with. */
import type { Clock } from '../clock.ts'
import type { Store } from '../nix/store.ts'
import type { Codec, Line } from './compression.ts'
import { measureLine } from './measure-line.ts'
import type { End } from './streams.ts'

/** One without commands is a store and nothing else. */
export type SourceEnd = { readonly store: Store } & Partial<Omit<End, 'store'>>

export interface Lines {
  readonly codecs: readonly Codec[]
  /** from the source to us; undefined: it can't be measured */
  readonly down: Line | undefined
  /** from us to the host */
  readonly up: Line | undefined
}

export interface LinesRequest {
  readonly from: SourceEnd
  readonly to: End
  codecs(): Promise<readonly Codec[]>
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Never rejects: what is not known is undefined. */
export function measureLines({ from, to, codecs, clock, signal }: LinesRequest): Promise<Lines | undefined> {
  const line = async (end: End | undefined, direction: 'down' | 'up') =>
    end &&
    measureLine(direction, { machine: await end.machine(signal), asRoot: end.asRoot, clock, signal }).catch(
      () => undefined,
    )
  return Promise.all([codecs(), line(isEnd(from) ? from : undefined, 'down'), line(to, 'up')]).then(
    ([codecs, down, up]) => ({ codecs, down, up }),
    () => undefined,
  )
}

export const isEnd = (end: SourceEnd): end is End => end.serve !== undefined && end.machine !== undefined
