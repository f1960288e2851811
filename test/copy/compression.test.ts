import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import t from 'tap'
import { chooseCompression, type Codec, type CodecName } from '../../lib/copy/compression.ts'
import { measureLine } from '../../lib/copy/measure-line.ts'
import { systemClock } from '../../lib/edge/clock.ts'
import { codecs } from '../../lib/edge/codecs.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'

const codec = (name: CodecName): Codec => ({
  name,
  compress: () => Promise.reject(),
  decompress: () => Promise.reject(),
})
const both = [codec('zstd'), codec('gzip')]
const has = ['zstd', 'gzip'] as const
const megabyte = 1e6

t.test('a slow line is compressed by the best that both ends have, a fast one is not', async (t) => {
  const choice = (...given: Parameters<typeof chooseCompression>) => {
    const chosen = chooseCompression(...given)
    return chosen && `${chosen.codec.name} -${chosen.level}`
  }
  t.equal(choice('auto', { rate: 2.5 * megabyte, has }, both), 'zstd -3')
  t.equal(choice('auto', { rate: 6 * megabyte, has }, both), 'zstd -3')
  t.equal(choice('auto', { rate: 120 * megabyte, has }, both), undefined)
  t.equal(choice('always', { rate: 120 * megabyte, has }, both), 'zstd -3')
  t.equal(choice('auto', { rate: megabyte, has: ['gzip'] }, both), 'gzip -4')
  t.equal(choice('auto', { rate: megabyte, has }, [codec('gzip')]), 'gzip -4')
  t.equal(choice('always', { rate: megabyte, has: [] }, both), undefined)
  t.equal(choice('never', { rate: megabyte, has }, both), undefined)
  t.equal(choice('auto', undefined, both), undefined)
})

t.test(
  'what each codec makes smaller comes out as it was, and what is cut short does not count as whole',
  async (t) => {
    const text = Buffer.concat([Buffer.alloc(3_000_000, 'the same again '), randomBytes(100_000)])
    for (const { name, compress, decompress } of await codecs()) {
      const packed = await buffer(Readable.from([text]).pipe(await compress(3)))
      t.ok(packed.length < 200_000, name)
      t.ok((await buffer(Readable.from([packed]).pipe(await decompress()))).equals(text), name)
      const cut = Readable.from([packed.subarray(0, packed.length / 2)])
      const rest = await buffer(cut.pipe(await decompress())).catch(() => Buffer.alloc(0))
      t.ok(rest.length < text.length, name)
    }
  },
)

t.test('the line to this machine itself is fast, in both directions', async (t) => {
  const machine = localMachine()
  t.teardown(() => machine.close())
  const { signal } = new AbortController()
  for (const direction of ['up', 'down'] as const) {
    const line = await measureLine(direction, { machine, asRoot: false, clock: systemClock, signal })
    t.ok(line.has.includes('gzip'))
    t.ok(line.rate > 5e6, `${direction}: ${Math.round(line.rate / 1e6)} MB/s`)
  }
})
