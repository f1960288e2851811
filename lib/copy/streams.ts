/** Second connections to a machine with a store, whose one busy direction is compressed. */
import { type Duplex, pipeline } from 'node:stream'
import { quotePosix } from '../machine/command.ts'
import type { Channel, Machine } from '../machine/machine.ts'
import type { Store } from '../nix/store.ts'
import { streamsOf } from '../nix/streams.ts'
import type { DaemonStreams } from '../nix/worker-protocol.ts'
import type { Compression } from './compression.ts'

/** A store that can be reached once more, by commands. */
export interface End {
  readonly store: Store
  machine(signal: AbortSignal): Promise<Machine>
  /** text for /bin/sh that becomes `nix-store --serve`, with the right to write where that is needed */
  readonly serve: string
  readonly asRoot: boolean
}

/** What becomes its `nix-store --serve`, as one command: it may be of several. */
export const serving = ({ serve }: End): string => `sh -c ${quotePosix(serve)}`

/** What `script`, for /bin/sh at that end, says is compressed on the way, or is not. */
export async function streamsFrom(
  end: End,
  script: string,
  compression: Compression | undefined,
  signal: AbortSignal,
): Promise<DaemonStreams> {
  if (!compression) return streamsOf(await openChannel(end, script, signal))
  const { codec, level } = compression
  const plain = await codec.decompress()
  const channel = await openChannel(end, `${script} | ${codec.name} -${level} -c`, signal).catch(ending(plain))
  pipeline(channel.stdout, plain, endOf(channel))
  return { ...streamsOf(channel), output: plain, close: closing(plain, channel) }
}

/** What `script`, for /bin/sh at that end, reads is compressed on the way, or is not. */
export async function streamsTo(
  end: End,
  script: string,
  compression: Compression | undefined,
  signal: AbortSignal,
): Promise<DaemonStreams> {
  if (!compression) return streamsOf(await openChannel(end, script, signal))
  const { codec, level } = compression
  const packed = await codec.compress(level)
  const channel = await openChannel(end, `${codec.name} -d -c | ${script}`, signal).catch(ending(packed))
  pipeline(packed, channel.stdin, endOf(channel))
  return { ...streamsOf(channel), input: packed, close: closing(packed, channel) }
}

const openChannel = async ({ machine, asRoot }: End, script: string, signal: AbortSignal): Promise<Channel> =>
  (await machine(signal)).open({ argv: ['sh', '-c', script], asRoot }, signal, { atOnce: true })

const closing = (codec: Duplex, channel: Channel) => () => {
  codec.destroy()
  channel.close()
}

/** A program here that dies would leave the one there waiting. */
const endOf = (channel: Channel) => (error: unknown) => {
  if (error) channel.close()
}

const ending = (codec: Duplex) => (error: unknown) => {
  codec.destroy()
  throw error
}
