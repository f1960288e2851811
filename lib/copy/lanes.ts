/**
 * What carries the NARs once it is known how many there are: the stores themselves, or second connections to the same
 * stores whose one busy direction is compressed, each end by itself as its line asks for it.
 */
import { openServe } from '../nix/serve-protocol.ts'
import type { NarSink, NarSource } from '../nix/store.ts'
import { Problem } from '../problem.ts'
import { type Compression, chooseCompression } from './compression.ts'
import { isEnd, type Lines, type SourceEnd } from './lines.ts'
import { type End, serving, streamsFrom, streamsTo } from './streams.ts'

export interface Lanes {
  readonly from: NarSource
  readonly to: NarSink
  /** for people: how what is sent is compressed, or nothing */
  readonly compressed: string
}

export interface LanesRequest {
  readonly from: SourceEnd
  readonly to: End
  readonly setting: 'auto' | 'always' | 'never'
  /** asked for unless nothing is compressed */
  lines(): Promise<Lines | undefined>
  readonly signal: AbortSignal
}

/** Less is sent before a second connection has come about. */
const worthwhile = 512 * 1024

/** Asks for the lines now; the function that it gives opens the lanes for so many bytes of NARs. */
export function prepareLanes(request: LanesRequest): (bytes: number) => Promise<Lanes> {
  const { to, setting, signal } = request
  const plain = { from: request.from.store, to: to.store, compressed: '' }
  if (setting === 'never') return async () => plain
  const from = isEnd(request.from) ? request.from : undefined
  const known = request.lines()

  return async (bytes) => {
    const { codecs, down, up } = (bytes >= worthwhile && (await known)) || nothing
    const source = chooseCompression(setting, down, codecs)
    const sink = chooseCompression(setting, up, codecs)
    const sourceLane = source && from && (await openSource(from, source, signal).catch(plainIfNoRoom(signal)))
    const sinkLane =
      sink &&
      (await openSink(to, sink, signal)
        .catch(plainIfNoRoom(signal))
        .catch((error: unknown) => {
          sourceLane?.close()
          throw error
        }))
    const compression = (sinkLane && sink) ?? (sourceLane && source)
    return { from: sourceLane ?? plain.from, to: sinkLane ?? plain.to, compressed: compression?.codec.name ?? '' }
  }
}

/** Where no second connection comes about, the first one does. */
const plainIfNoRoom = (signal: AbortSignal) => (error: unknown) => {
  if (signal.aborted || !(error instanceof Problem)) throw error
  return undefined
}

const nothing: Lines = { codecs: [], down: undefined, up: undefined }

const openSource = async (end: End, compression: Compression, signal: AbortSignal): Promise<NarSource> =>
  openServe(await streamsFrom(end, serving(end), compression, signal))

const openSink = async (end: End, compression: Compression, signal: AbortSignal): Promise<NarSink> =>
  openServe(await streamsTo(end, serving(end), compression, signal))
