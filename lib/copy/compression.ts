/** What is sent is compressed where the line is what one waits for. */
import type { Duplex } from 'node:stream'

export type CodecName = 'zstd' | 'gzip'

/** A way to compress that this machine has. Handed in from the edge. */
export interface Codec {
  readonly name: CodecName
  /** `level` as the program of that name counts them. */
  compress(level: number): Promise<Duplex>
  /** Ends early, or fails, when what comes is cut short. */
  decompress(): Promise<Duplex>
}

/** What is known of the line to a machine, and of what is at its other end. */
export interface Line {
  /** bytes a second */
  readonly rate: number
  readonly has: readonly CodecName[]
}

export interface Compression {
  readonly codec: Codec
  readonly level: number
}

/** Below that many bytes a second, compressing takes less time than sending: 100 Mbit/s. */
const fast = 12.5e6
/** The next levels take many times the work for a tenth of the bytes. */
const levels: Readonly<Record<CodecName, number>> = { zstd: 3, gzip: 4 }

/** `codecs` in order of preference. Undefined: send it as it is. */
export function chooseCompression(
  setting: 'auto' | 'always' | 'never',
  line: Line | undefined,
  codecs: readonly Codec[],
): Compression | undefined {
  if (setting === 'never' || !line || (setting === 'auto' && line.rate >= fast)) return undefined
  const codec = codecs.find(({ name }) => line.has.includes(name))
  if (!codec) return undefined
  return { codec, level: levels[codec.name] }
}
