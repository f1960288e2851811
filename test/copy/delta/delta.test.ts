/** Patches between real stores, made and applied by the real programs. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import t from 'tap'
import type { Codec } from '../../../lib/copy/compression.ts'
import { anchorsScript } from '../../../lib/copy/delta/anchors-script.ts'
import { type Pair, pairsOf } from '../../../lib/copy/delta/bases.ts'
import { sendDelta } from '../../../lib/copy/delta/delta.ts'
import { planPatches } from '../../../lib/copy/delta/patches.ts'
import { codecs } from '../../../lib/edge/codecs.ts'
import type { Machine } from '../../../lib/machine/machine.ts'
import type { PathInfo } from '../../../lib/nix/store.ts'
import type { StorePath } from '../../../lib/nix/store-path.ts'
import { Problem } from '../../../lib/problem.ts'
import { type LocalStore, localStore } from './two-stores.ts'

const lacks = ['nix-store', 'zstd'].find((program) => spawnSync(program, ['--version']).status !== 0)
const skip = lacks === undefined ? false : `${lacks} is not installed`
const { signal } = new AbortController()

const made = new Map<string, Buffer>()

/** Bytes that no compressor makes smaller, the same for the same seed. */
function noise(seed: string, length: number): Buffer {
  const found = made.get(`${seed} ${length}`) ?? newNoise(seed, length)
  made.set(`${seed} ${length}`, found)
  return found
}

function newNoise(seed: string, length: number): Buffer {
  const blocks: Buffer[] = []
  for (let count = 0; count * 32 < length; count++)
    blocks.push(createHash('sha256').update(`${seed} ${count}`).digest())
  return Buffer.concat(blocks).subarray(0, length)
}

type Tree = Readonly<Record<string, Buffer | string>>

/** Keys are paths below; `->` makes a link, `*` at the end an executable. */
function write(directory: string, tree: Tree): string {
  for (const [name, contents] of Object.entries(tree)) {
    const file = join(directory, name.replace(/\*$/, ''))
    mkdirSync(join(file, '..'), { recursive: true })
    if (typeof contents === 'string' && contents.startsWith('->')) symlinkSync(contents.slice(2), file)
    else writeFileSync(file, contents)
    if (name.endsWith('*')) chmodSync(file, 0o755)
  }
  return directory
}

const megabyte = 1_000_000
const old: Tree = {
  'bin/tool*': noise('tool', 3 * megabyte),
  'bin/gone': noise('gone', 2 * megabyte),
  lib: '->bin',
  'share/a/b': noise('b', 70_000),
  'share/a-b': noise('a-b', 70_000),
  'share/a.b/empty': '',
  'share/large': noise('large', 9 * megabyte),
  'share/z': '->/nowhere/at/all',
}
const changed: Tree = {
  ...old,
  'bin/gone': noise('small', 1000),
  'bin/added': noise('added', 100_000),
  'share/large': Buffer.concat([noise('before', 1000), old['share/large'] as Buffer]),
}

interface Set {
  readonly from: LocalStore
  readonly to: LocalStore
  readonly infos: readonly PathInfo[]
  readonly pairs: readonly Pair[]
}

/** Two packages in two versions, the old ones in both stores, and one path that is new. */
async function setOf(t: Tap): Promise<Set> {
  const place = t.testdir({})
  const [from, to] = [localStore(join(place, 'from')), localStore(join(place, 'to'))]
  t.teardown(() => Promise.all([from.machine.close(), to.machine.close()]))
  const single = (seed: string) => Buffer.concat([noise('single', 200_000), noise(seed, 10)])
  const olds = [write(join(place, 'tool-1.0'), old), join(write(place, { 'unit-1': single('1') }), 'unit-1')]
  const news = [
    write(join(place, 'tool-1.1'), changed),
    join(write(place, { 'unit-2': single('2') }), 'unit-2'),
    join(write(place, { other: noise('other', 300_000) }), 'other'),
  ]
  for (const file of olds) to.add(file)
  const known = await from.infos(olds.map(from.add))
  const infos = [...(await from.infos(news.map(from.add))).values()]
  return { from, to, infos, pairs: [...pairsOf(infos, [...known.values()]).values()] }
}
type Tap = Pick<typeof t, 'equal' | 'same' | 'testdir' | 'teardown'>

interface Sent {
  readonly bytes: number
  readonly patches: number[]
  readonly added: readonly StorePath[]
  readonly problem: Problem | undefined
}

async function send(
  { from, to, infos, pairs }: Set,
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
      onPatch: (size) => void patches.push(size),
    },
  ).then(
    () => undefined,
    (error) => (error instanceof Problem ? error : Promise.reject(error)),
  )
  return { bytes, patches, added, problem }
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0)
const leftBehind = () => readdirSync('/var/tmp').filter((name) => name.startsWith('deploy-patches'))
const isValid = ({ to }: Set, path: StorePath) =>
  spawnSync('nix-store', ['--check-validity', path, '--store', to.directory]).status === 0

/** Every path that the store says it has is what its hash says; none but those told of are there. */
function intact(t: Tap, set: Set, { added }: Sent): void {
  for (const { path } of set.infos) t.equal(isValid(set, path), added.includes(path), path)
  if (added.length > 0) t.equal(set.to.run('--verify-path', ...added), '')
  t.same(leftBehind(), [])
}

t.test('what changed is sent, and the new paths are whole', { skip }, async (t) => {
  for (const codec of [undefined, ...(await codecs())]) {
    const set = await setOf(t)
    t.equal(set.pairs.length, 2)
    const sent = await send(set, codec && { codec })
    t.equal(sent.problem, undefined)
    t.equal(sent.added.length, 3)
    t.equal(sent.bytes, total(set.infos.map(({ narSize }) => narSize)))
    t.ok(total(sent.patches) < 150_000, `${total(sent.patches)} bytes of patches`)
    intact(t, set, sent)
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

const zstd = spawnSync('sh', ['-c', 'command -v zstd']).stdout.toString().trim()
const baseOf = ({ pairs }: Set, name: string) =>
  pairs.find(({ base }) => base.path.endsWith(name))?.base.path as StorePath

t.test('whatever goes wrong is told, and no path is there that is not what it should be', { skip }, async (t) => {
  const cases: Record<string, (set: Set) => Parameters<typeof send>[1]> = {
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
      const set = await setOf(t)
      const sent = await send(set, arrange(set))
      t.ok(sent.problem, 'it is told')
      t.comment(sent.problem?.message, sent.problem?.detail)
      intact(t, set, sent)
      // nothing that is left behind is in the way of the whole paths
      const left = set.infos.filter(({ path }) => !sent.added.includes(path))
      const [source, sink] = await Promise.all([set.from.serve(), set.to.serve()])
      await sink.addMultiple(source.narsFrom(left), { count: left.length, checkSignatures: false })
      intact(t, set, { ...sent, added: set.infos.map(({ path }) => path) })
    })
})

t.test('places in NARs are found without reading them', { skip }, async (t) => {
  const { from, pairs } = await setOf(t)
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
