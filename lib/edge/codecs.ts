/** What this machine can compress with: zstd where the program is, and gzip, which Node brings. */
import { Duplex } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import type { Codec } from '../copy/compression.ts'
import { runProcess, startProcess } from './process.ts'

const chunkSize = 64 * 1024

const gzip: Codec = {
  name: 'gzip',
  compress: async (level) => createGzip({ level, chunkSize }),
  decompress: async () => createGunzip({ chunkSize }),
}

const zstd: Codec = {
  name: 'zstd',
  compress: (level) => through(['zstd', '-q', '-c', `-${level}`]),
  decompress: () => through(['zstd', '-q', '-d', '-c']),
}

/** A program as a stream. Whatever ends the stream ends the program. */
async function through(argv: readonly string[]): Promise<Duplex> {
  const program = await startProcess(argv)
  const stream = Duplex.from({ writable: program.stdin, readable: program.stdout })
  stream.on('close', () => program.close())
  return stream
}

let found: Promise<readonly Codec[]> | undefined

/** The best one first. */
export function codecs(): Promise<readonly Codec[]> {
  found ??= runProcess(['zstd', '--version']).then(
    ({ code }) => (code === 0 ? [zstd, gzip] : [gzip]),
    () => [gzip],
  )
  return found
}
