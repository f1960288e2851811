/**
 * What carries the NARs once it is known how many there are: the stores themselves, or second connections to the same
 * stores whose one busy direction is compressed, each end by itself as its line asks for it.
 */
import { type Duplex, pipeline } from 'node:stream'
import type { Clock } from '../clock.ts'
import { quotePosix } from '../machine/command.ts'
import type { Channel, Machine } from '../machine/machine.ts'
import { openServe } from '../nix/serve-protocol.ts'
import type { NarSink, NarSource, Store } from '../nix/store.ts'
import type { DaemonStreams } from '../nix/worker-protocol.ts'
import { Problem } from '../problem.ts'
import { type Codec, type Compression, chooseCompression } from './compression.ts'
import { measureLine } from './measure-line.ts'

export interface Lanes {
  readonly from: NarSource
  readonly to: NarSink
  /** for people: how what is sent is compressed, or nothing */
  readonly compressed: string
}

/** A store that can be reached once more, by commands. */
export interface End {
  readonly store: Store
  machine(signal: AbortSignal): Promise<Machine>
  /** text for /bin/sh that becomes `nix-store --serve`, with the right to write where that is needed */
  readonly serve: string
  readonly asRoot: boolean
}

export interface LanesRequest {
  /** one without commands is a store and nothing else */
  readonly from: { readonly store: Store } & Partial<Omit<End, 'store'>>
  readonly to: End
  readonly setting: 'auto' | 'always' | 'never'
  codecs(): Promise<readonly Codec[]>
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Less is sent before a second connection has come about. */
const worthwhile = 512 * 1024

/** Begins to measure the lines now; the function that it gives opens the lanes for so many bytes of NARs. */
export function prepareLanes(request: LanesRequest): (bytes: number) => Promise<Lanes> {
  const { to, setting, clock, signal } = request
  const plain = { from: request.from.store, to: to.store, compressed: '' }
  if (setting === 'never') return async () => plain
  const from = isEnd(request.from) ? request.from : undefined
  // What can't be measured is not compressed.
  const line = async (end: End | undefined, direction: 'down' | 'up') =>
    end &&
    measureLine(direction, { machine: await end.machine(signal), asRoot: end.asRoot, clock, signal }).catch(
      () => undefined,
    )
  const known = Promise.all([request.codecs(), line(from, 'down'), line(to, 'up')]).catch(() => undefined)

  return async (bytes) => {
    const [codecs, down, up] = (bytes >= worthwhile && (await known)) || []
    const source = chooseCompression(setting, down, codecs ?? [])
    const sink = chooseCompression(setting, up, codecs ?? [])
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

const isEnd = (end: LanesRequest['from']): end is End => end.serve !== undefined && end.machine !== undefined

async function openSource(end: End, { codec, level }: Compression, signal: AbortSignal): Promise<NarSource> {
  const plain = await codec.decompress()
  const { channel, lane } = await openChannel(end, signal, (serve) => `${serve} | ${codec.name} -${level} -c`).catch(
    ending(plain),
  )
  pipeline(channel.stdout, plain, endOf(channel))
  return lane({ input: channel.stdin, output: plain, close: () => plain.destroy() })
}

async function openSink(end: End, { codec, level }: Compression, signal: AbortSignal): Promise<NarSink> {
  const packed = await codec.compress(level)
  const { channel, lane } = await openChannel(end, signal, (serve) => `${codec.name} -d -c | ${serve}`).catch(
    ending(packed),
  )
  pipeline(packed, channel.stdin, endOf(channel))
  return lane({ input: packed, output: channel.stdout, close: () => packed.destroy() })
}

/** A program here that dies would leave the one there waiting. */
const endOf = (channel: Channel) => (error: unknown) => {
  if (error) channel.close()
}

const ending = (codec: Duplex) => (error: unknown) => {
  codec.destroy()
  throw error
}

async function openChannel(end: End, signal: AbortSignal, script: (serve: string) => string) {
  const machine = await end.machine(signal)
  const argv = ['sh', '-c', script(`sh -c ${quotePosix(end.serve)}`)]
  const channel = await machine.open({ argv, asRoot: end.asRoot }, signal, { atOnce: true })
  let isOutOfReach = false
  const closed = channel.exit.then(({ lost }) => {
    isOutOfReach = lost
  })
  const lane = (streams: Pick<DaemonStreams, 'input' | 'output'> & { close(): void }) =>
    openServe({
      ...streams,
      errorOutput: () => channel.errorOutput(),
      closed,
      isOutOfReach: () => isOutOfReach,
      close() {
        streams.close()
        channel.close()
      },
    })
  return { channel, lane }
}
