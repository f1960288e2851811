/** When patches are sent, and what comes of them when they fail: between real stores. */
import t from 'tap'
import { type DeltasRequest, prepareDeltas } from '../../../lib/copy/delta/prepare.ts'
import type { Lines } from '../../../lib/copy/lines.ts'
import type { StorePath } from '../../../lib/nix/store-path.ts'
import { baseOf, intact, isValid, skip, type Versions, versions } from './versions.ts'

const lineOf = (rate: number): Lines => ({
  codecs: [],
  up: { rate, has: ['zstd'] },
  down: undefined,
})

interface Happened {
  readonly left: readonly StorePath[]
  readonly added: readonly StorePath[]
  readonly log: readonly string[]
  readonly told: { paths: number; narBytes: number; bytes: number }
  /** bytes of NARs, as a person sees them grow */
  readonly bytes: number
}

async function delivered(
  { from, to, infos, pairs }: Versions,
  parts: Partial<DeltasRequest> & { rate?: number; onSent?(): void } = {},
): Promise<Happened> {
  to.runs(pairs.map(({ base }) => base.path))
  const log: string[] = []
  const added: StorePath[] = []
  let bytes = 0
  const deltas = prepareDeltas({
    from: from.end(),
    to: to.end(),
    setting: 'best',
    compress: 'auto',
    lines: async () => lineOf(parts.rate ?? 1e9),
    log: (line) => void log.push(line),
    signal: new AbortController().signal,
    ...parts,
  })
  const left = await deltas.send(infos, {
    onSent(count) {
      bytes += count
      parts.onSent?.()
    },
    onAdded: ({ path }) => void added.push(path),
    onAgain() {
      bytes = infos.filter(({ path }) => added.includes(path)).reduce((sum, { narSize }) => sum + narSize, 0)
    },
  })
  return { left: left.map(({ path }) => path), added, log, told: deltas.told(), bytes }
}

const sizeOf = ({ infos }: Versions) => infos.reduce((sum, { narSize }) => sum + narSize, 0)

t.test('all arrives, and what patches spared is told', { skip }, async (t) => {
  const set = await versions(t)
  const { left, added, log, told, bytes } = await delivered(set)
  t.same([left, log], [[], []])
  t.equal(added.length, 3)
  t.equal(bytes, sizeOf(set))
  t.match(told, { paths: 2, narBytes: set.pairs.reduce((sum, { info }) => sum + info.narSize, 0) })
  t.ok(told.bytes > 100_000 && told.bytes < 150_000, `${told.bytes} bytes of patches`)
  await intact(t, set, added)
})

t.test('only a slow line is worth it, unless few bytes are all that counts', { skip }, async (t) => {
  for (const [rate, setting, isSent] of [
    [50e6, 'auto', false],
    [0.5e6, 'auto', true],
    [0.5e6, 'off', false],
    [50e6, 'best', true],
  ] as const) {
    const set = await versions(t)
    const { left, told } = await delivered(set, { rate, setting })
    t.equal(left.length, isSent ? 0 : 3, `${setting} at ${rate}`)
    t.equal(told.paths, isSent ? 2 : 0)
  }
})

t.test('a path that fails is sent whole, and the others are still patched', { skip }, async (t) => {
  const set = await versions(t)
  set.to.run('--delete', baseOf(set, 'unit-1'))
  const { left, added, log, told, bytes } = await delivered(set)
  t.same(left, [])
  t.equal(bytes, sizeOf(set))
  t.match(log, [/^patches: .*cannot patch .*-unit-1/, /^patches: 3 paths are left, 1 as patches$/])
  t.equal(told.paths, 1)
  await intact(t, set, added)
})

t.test('after a second failure the rest is left to be sent whole', { skip }, async (t) => {
  const set = await versions(t)
  set.to.replace('zstd', 'if [ "$1" = -H ]; then echo --patch-from; else exit 1; fi')
  const { left, added, log, told } = await delivered(set)
  t.equal(left.length + added.length, 3)
  t.ok(left.length >= 1)
  t.match(log.at(-1), /^patches: \d paths are left, all whole$/)
  t.equal(told.paths, 0)
  await intact(t, set, added)
})

t.test('where no patches can be made or applied, all is left to be sent whole', { skip }, async (t) => {
  for (const end of ['from', 'to'] as const) {
    const set = await versions(t)
    set[end].replace('zstd', 'echo none of what is asked for')
    const { left, log } = await delivered(set)
    t.equal(left.length, 3)
    t.match(log, [/^patches: the (builder|host) can (make|apply) no patches/])
  }
})

t.test('an interruption ends it, and nothing is left of it', { skip }, async (t) => {
  const set = await versions(t)
  const stop = new AbortController()
  await t.rejects(delivered(set, { signal: stop.signal, onSent: () => stop.abort() }))
  const valid = set.infos.filter(({ path }) => isValid(set, path)).map(({ path }) => path)
  await intact(t, set, valid)
  t.ok(valid.length < 3)
})
