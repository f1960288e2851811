/** Patches between real stores, made and applied by the real programs. */
import { Transform } from 'node:stream'
import t from 'tap'
import type { Codec } from '../../../lib/copy/compression.ts'
import { anchorsScript } from '../../../lib/copy/delta/anchors-script.ts'
import { sendDelta } from '../../../lib/copy/delta/delta.ts'
import { planPatches } from '../../../lib/copy/delta/patches.ts'
import { codecs } from '../../../lib/edge/codecs.ts'
import type { Machine } from '../../../lib/machine/machine.ts'
import type { StorePath } from '../../../lib/nix/store-path.ts'
import { Problem } from '../../../lib/problem.ts'
import { baseOf, intact, skip, type Versions, versions, zstd } from './versions.ts'

const { signal } = new AbortController()

interface Sent {
  readonly bytes: number
  readonly patches: number[]
  readonly added: readonly StorePath[]
  readonly problem: Problem | undefined
}

async function send(
  { from, to, infos, pairs }: Versions,
  change?: { builder?(machine: Machine): Machine; codec?: Codec },
): Promise<Sent> {
  const patches: number[] = []
  const added: StorePath[] = []
  let bytes = 0
  const compression = change?.codec && { codec: change.codec, level: 3 }
  const patched = await planPatches(from.machine, pairs, signal)
  const delta = {
    from: from.end(change?.builder),
    to: to.end(),
    level: 3,
    compression: { down: compression, up: compression },
    signal,
  }
  const problem = await sendDelta(
    delta,
    { infos, patched },
    {
      count: infos.length,
      checkSignatures: false,
      onSent: (count) => {
        bytes += count
      },
      onAdded: ({ path }) => void added.push(path),
      onPatch: (_path, size) => void patches.push(size),
    },
  ).then(
    () => undefined,
    (error) => (error instanceof Problem ? error : Promise.reject(error)),
  )
  return { bytes, patches, added, problem }
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0)
t.test('what changed is sent, and the new paths are whole', { skip }, async (t) => {
  for (const codec of [undefined, ...(await codecs())]) {
    const set = await versions(t)
    t.equal(set.pairs.length, 2)
    const sent = await send(set, codec && { codec })
    t.equal(sent.problem, undefined)
    t.equal(sent.added.length, 3)
    t.equal(sent.bytes, total(set.infos.map(({ narSize }) => narSize)))
    t.ok(total(sent.patches) < 150_000, `${total(sent.patches)} bytes of patches`)
    await intact(t, set, sent.added)
  }
})

/** One bit of what the builder says, behind so many bytes. */
const flipping =
  (place: number) =>
  (machine: Machine): Machine => ({
    ...machine,
    async open(command, signal, options) {
      const channel = await machine.open(command, signal, options)
      if (!command.argv.some((word) => word.includes('--patch-from'))) return channel
      let at = 0
      const flip = new Transform({
        transform(piece: Buffer, _encoding, done) {
          const here = place - at
          if (here >= 0 && here < piece.length) piece.writeUInt8(piece.readUInt8(here) ^ 1, here)
          at += piece.length
          done(null, piece)
        },
      })
      return { ...channel, stdout: channel.stdout.pipe(flip) }
    },
  })

t.test('whatever goes wrong is told, and no path is there that is not what it should be', { skip }, async (t) => {
  const cases: Record<string, (set: Versions) => Parameters<typeof send>[1]> = {
    'a patch was damaged on the way': () => ({ builder: flipping(5000) }),
    'the size of a patch was damaged on the way': () => ({ builder: flipping(3) }),
    'the host has not the base': (set) => {
      set.to.run('--delete', baseOf(set, 'tool-1.0'))
      return {}
    },
    'the base is something else on the host': (set) => {
      const [one, other] = [baseOf(set, 'tool-1.0'), baseOf(set, 'unit-1')]
      set.to.showInPlaceOf(one, other)
      return {}
    },
    'zstd fails on the builder': (set) => {
      set.from.replace('zstd', `[ "$1" != -H ] || exec ${zstd} -H; exit 1`)
      return {}
    },
    'zstd of the host knows no patches': (set) => {
      set.to.replace('zstd', 'echo "Incorrect parameters" >&2; exit 1')
      return {}
    },
    'the host has no room but in memory': (set) => {
      set.to.replace('stat', 'echo tmpfs 1000000 4096')
      return {}
    },
  }
  for (const [name, arrange] of Object.entries(cases))
    await t.test(name, async (t) => {
      const set = await versions(t)
      const sent = await send(set, arrange(set))
      t.ok(sent.problem, 'it is told')
      t.comment(sent.problem?.message, sent.problem?.detail)
      await intact(t, set, sent.added)
      // nothing that is left behind is in the way of the whole paths
      const left = set.infos.filter(({ path }) => !sent.added.includes(path))
      const [source, sink] = await Promise.all([set.from.serve(), set.to.serve()])
      await sink.addMultiple(source.narsFrom(left), { count: left.length, checkSignatures: false })
      await intact(
        t,
        set,
        set.infos.map(({ path }) => path),
      )
    })
})

t.test('places in NARs are found without reading them', { skip }, async (t) => {
  const { from, pairs } = await versions(t)
  const input = pairs.map(({ info, base }) => `${info.path} ${base.path}\n`).join('')
  const { stdout } = await from.machine.run({ argv: ['sh', '-c', anchorsScript] }, { input })
  const answers = stdout.split('= ').slice(1)
  t.equal(answers.length, pairs.length)
  for (const [index, { info, base }] of pairs.entries()) {
    const [sizes, ...lines] = (answers[index] ?? '').trim().split('\n')
    t.equal(sizes, `${info.narSize} ${base.narSize}`)
    const [inNew, inOld] = [info, base].map(({ path }) => from.dump(path)) as [Buffer, Buffer]
    const places = lines.map((line) => line.split(' ').map(Number) as [number, number])
    const same = places.filter(([a, b]) => inNew.subarray(a, a + 10).equals(inOld.subarray(b, b + 10)))
    // two files begin with something else
    t.ok(same.length > 0 && same.length >= places.length - 2, `${same.length} of ${places.length}`)
  }
})
