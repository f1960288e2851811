import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { framed, inPiecesOf } from '../../../lib/nix/protocol/framed.ts'
import { newPathInfo, readPathInfo, readStorePath } from '../../../lib/nix/protocol/path-info.ts'
import { withoutColours } from '../../../lib/nix/protocol/said.ts'
import { boolean, integer, string, strings } from '../../../lib/nix/protocol/wire.ts'
import { EndOfStream, NotUnderstood, WireReader } from '../../../lib/nix/protocol/wire-reader.ts'
import { isStorePath, type StorePath } from '../../../lib/nix/store-path.ts'
import { inPieces, pieceSizes } from '../make-nar.ts'

const readerOf = (bytes: Uint8Array, sizes: readonly number[] = [1000]) =>
  new WireReader(Readable.from(inPieces(bytes, sizes), { objectMode: false }))

const storePaths = fc
  .tuple(fc.stringMatching(/^[0-9a-df-np-sv-z]{32}$/), fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/))
  .map(([hash, name]) => `/nix/store/${hash}-${name}` as StorePath)
  .filter(isStorePath)

t.test('what is written is read again, however the stream is cut', async (t) => {
  const unicode = fc.string({ unit: 'binary', maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(
      fc.record({ number: fc.maxSafeNat(), yes: fc.boolean(), text: unicode, list: fc.array(unicode) }),
      pieceSizes,
      async ({ number, yes, text, list }, sizes) => {
        const bytes = Buffer.concat([integer(number), boolean(yes), string(text), strings(list), integer(7)])
        const reader = readerOf(bytes, sizes)
        const found = [
          await reader.integer(),
          await reader.boolean(),
          await reader.string(),
          await reader.strings(),
          await reader.integer(),
        ]
        assert.equal(bytes.length % 8, 0)
        assert.deepEqual(found, [number, yes, text, list, 7])
      },
    ),
  )
  t.pass()
})

t.test('bytes as Nix writes them', async (t) => {
  t.equal(integer(0x6e697863).toString('hex'), '6378696e00000000')
  t.equal(integer(2 ** 40 + 5).toString('hex'), '0500000000010000')
  t.equal(string('nix').toString('hex'), '03000000000000006e69780000000000')
  t.equal(string('').toString('hex'), '0000000000000000')
  t.throws(() => integer(-1), RangeError)
  t.throws(() => integer(2 ** 53), RangeError)
})

t.test('a stream that ends too early, and lengths that cannot be, are errors and not waits', async (t) => {
  await t.rejects(readerOf(Buffer.from('12345')).integer(), EndOfStream)
  await t.rejects(readerOf(integer(100)).string(), EndOfStream)
  await t.rejects(readerOf(Buffer.from('this is text, not a length')).string(), NotUnderstood)
  await t.rejects(readerOf(integer(2 ** 40)).string(), NotUnderstood)
  await t.rejects(readStorePath(readerOf(string('/etc/passwd'))), NotUnderstood)
  const reader = readerOf(Buffer.from('12345'))
  await reader.integer().catch(() => {})
  t.equal(reader.atHand().toString(), '12345', 'what came can still be shown')
})

t.test('what was read too far is read again', async (t) => {
  const reader = readerOf(Buffer.concat([string('one'), string('two')]))
  const bytes = await reader.some()
  reader.putBack(bytes.subarray(16))
  reader.putBack(bytes.subarray(0, 16))
  t.equal(await reader.string(), 'one')
  t.equal(await reader.string(), 'two')
})

t.test('numbers that only tell things apart lose no more than what a number cannot hold', async (t) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE((4194304n << 32n) + 12345n)
  t.equal(await readerOf(bytes).roughInteger(), 12345)
  await t.rejects(readerOf(bytes).integer(), NotUnderstood)
})

t.test('what a store knows of a path arrives as it was, but as newly registered and not built there', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        path: storePaths,
        deriver: fc.oneof(storePaths, fc.constant('' as const)),
        narHash: fc.stringMatching(/^[0-9a-f]{64}$/),
        references: fc.array(storePaths),
        registrationTime: fc.nat(),
        narSize: fc.maxSafeNat(),
        ultimate: fc.boolean(),
        signatures: fc.array(fc.stringMatching(/^[a-z.-]{1,20}:[A-Za-z0-9+/]{20}==$/)),
        contentAddress: fc.constantFrom('', 'fixed:r:sha256:0abc', 'text:sha256:0abc'),
      }),
      async (info) => {
        const reader = readerOf(newPathInfo(info), [13])
        const path = await readStorePath(reader)
        assert.deepEqual(await readPathInfo(reader, path), { ...info, registrationTime: 0, ultimate: false })
      },
    ),
  )
  t.pass()
})

t.test('frames hold exactly what was put in, and end', async (t) => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 50 }))
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 64 }), async (contents, size) => {
      const written: Buffer[] = []
      for await (const piece of inPiecesOf(size, framed(Readable.from(contents)))) {
        assert.ok(piece.length <= size)
        written.push(piece)
      }
      const reader = readerOf(Buffer.concat(written))
      const found: Buffer[] = []
      for (let length = await reader.integer(); length > 0; length = await reader.integer())
        found.push(await reader.bytes(length))
      assert.deepEqual(Buffer.concat(found), Buffer.concat(contents))
      assert.equal(reader.atHand().length, 0)
    }),
  )
  t.pass()
})

t.test('frames of a source that fails have no end', async (t) => {
  async function* failing() {
    yield Buffer.from('some')
    throw new Error('no more')
  }
  const written: Uint8Array[] = []
  await t.rejects(
    (async () => {
      for await (const piece of framed(failing())) written.push(piece)
    })(),
    { message: 'no more' },
  )
  t.same(Buffer.concat(written), Buffer.concat([integer(4), Buffer.from('some')]))
})

t.test('colours and links of a terminal are taken out of texts', async (t) => {
  t.equal(withoutColours('\u001b[31;1merror:\u001b[0m path \u001b[35;1m/x\u001b[0m'), 'error: path /x')
  t.equal(withoutColours('\u001b]8;;http://x\u001b\\docs\u001b]8;;\u001b\\!'), 'docs!')
})
