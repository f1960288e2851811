import { Readable } from 'node:stream'
import t from 'tap'
import type { BuildStore, EvaluationOptions, Evaluator, OpenStore } from '../../lib/builders/builder.ts'
import { builderOf } from '../../lib/builders/compose.ts'
import type { PathInfo } from '../../lib/nix/store.ts'
import { standstillMs } from '../../lib/nix/patience.ts'
import { parseDerivationPath, parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import { Problem } from '../../lib/problem.ts'
import { FakeClock } from '../checks/fake-clock.ts'
import { noOptions } from './workplace.ts'

const clock = new FakeClock()

const dave = parseDerivationPath(`/nix/store/${'0'.repeat(32)}-nixos-system-dave.drv`)
const source = parseStorePath(`/nix/store/${'1'.repeat(32)}-source`)
const system = parseStorePath(`/nix/store/${'2'.repeat(32)}-nixos-system-dave`)
const contents = Buffer.from('a NAR')

const info = (path: StorePath, references: StorePath[] = []): PathInfo => ({
  path,
  deriver: '',
  narHash: '',
  references,
  registrationTime: 0,
  narSize: contents.length,
  ultimate: false,
  signatures: [],
  contentAddress: 'text:sha256:',
})

/** An evaluator and a store that builds, with what is valid in each, and all that was asked of either, in order. */
function played({ atStore = [] }: { atStore?: StorePath[] }) {
  const asked: string[] = []
  const told: string[] = []
  const storeOf = (name: string, valid: Set<StorePath>): OpenStore => ({
    version: '2.26.3',
    trusted: false,
    addTempRoots: async (paths) => void asked.push(`${name}: keep ${paths.length}`),
    queryValidPaths: async (paths) => new Set(paths.filter((path) => valid.has(path))),
    queryPathInfos: async (paths) => paths.map((path) => info(path, path === dave ? [source] : [])),
    queryClosure: async () => [info(source), info(dave, [source])],
    queryMissing: async () => [{ willBuild: [dave], willSubstitute: [], unknown: [], downloadSize: 0, narSize: 0 }],
    async build(derivations) {
      asked.push(`${name}: build ${derivations.filter((one) => valid.has(one)).length}`)
      return derivations.map((derivation) => ({ derivation, ok: true, message: '', outputs: { out: system } }))
    },
    async *narsFrom(infos) {
      for (const one of infos) yield { info: one, bytes: Readable.from([contents], { objectMode: false }) }
    },
    async addMultiple(nars, { onAdded }) {
      for await (const nar of nars) {
        for await (const _ of nar.bytes);
        asked.push(`${name}: add ${nar.info.path.slice(44)}`)
        valid.add(nar.info.path)
        onAdded?.(nar.info)
      }
    },
    giveWay: () => void asked.push(`${name}: held`),
    close: () => void asked.push(`${name}: closed`),
  })
  const evaluated = new Set<StorePath>([dave, source])
  const built = new Set(atStore)
  const evaluator: Evaluator = {
    name: 'forge',
    async evaluate(configurations: readonly string[], _options: EvaluationOptions) {
      asked.push(`evaluate ${configurations}`)
      for (const path of [dave, source]) evaluated.add(path)
      return { configurations: new Map(), revision: undefined }
    },
    openStore: async () => storeOf('forge', evaluated),
    load: async () => ({ perProcessor: 0.5, availableBytes: undefined }),
    close: async () => {},
  }
  const store: BuildStore = {
    name: 'nixbuild',
    openStore: async () => storeOf('nixbuild', built),
    bootFiles: async () => undefined,
    whereLogIs: (derivation) => `the log of ${derivation}`,
    close: async () => {},
  }
  const events = {
    progress: (text: string) => void told.push(text),
    warning: (text: string) => void told.push(text),
    note: (text: string) => void told.push(text),
    log: () => {},
  }
  const signal = new AbortController().signal
  /** Garbage collection on the evaluator. */
  const collect = () => evaluated.clear()
  return { asked, told, evaluator, store, events, signal, collect }
}

t.test('derivations and their sources go from the evaluator to the store, which then builds', async (t) => {
  const { asked, told, evaluator, store, events, signal } = played({ atStore: [source] })
  const builder = builderOf('nixbuild', { evaluator, store, clock })
  t.strictSame(await builder.build([dave], events, signal), new Map([[dave, system]]))
  t.strictSame(asked, [
    'nixbuild: keep 1',
    'forge: keep 1',
    'forge: keep 1',
    'nixbuild: keep 1',
    'nixbuild: keep 1',
    'nixbuild: add nixos-system-dave.drv',
    'forge: closed',
    'nixbuild: keep 1',
    'nixbuild: build 1',
    'nixbuild: keep 1',
    'nixbuild: held',
  ])
  t.match(told, ['sending derivations to nixbuild, 0/1 paths, 0 B of 5 B'])
  t.equal(told.at(-1), 'derivations and sources sent to nixbuild: 1 of 2 paths, 5 B')
})

t.test('the evaluator is not asked for what the store has', async (t) => {
  const { asked, told, evaluator, store, events, signal } = played({ atStore: [dave, source] })
  const builder = builderOf('nixbuild', { evaluator, store, clock })
  t.match((await builder.missing([dave], events, signal)).get(dave), { willBuild: [dave] })
  await builder.build([dave], events, signal)
  t.notMatch(asked.join('\n'), 'forge')
  t.strictSame(told, [])
})

t.test('settings for the evaluation do not reach the store, which is said', async (t) => {
  const { told, evaluator, store, events, signal } = played({ atStore: [dave, source] })
  const builder = builderOf('nixbuild', { evaluator, store, clock })
  await builder.evaluate(
    ['dave'],
    {
      ...noOptions,
      options: [
        ['cores', '1'],
        ['timeout', '60'],
      ],
    },
    events,
    signal,
  )
  await builder.build([dave], events, signal)
  t.match(told, [/^--option cores: for the evaluation on forge alone; nixbuild is not told$/])
})

t.test('derivations that both have lost are evaluated once more, as they were', async (t) => {
  const { asked, evaluator, store, events, signal, collect } = played({})
  const builder = builderOf('nixbuild', { evaluator, store, clock })
  await builder.evaluate(['dave'], noOptions, events, signal)
  collect()
  t.strictSame(await builder.build([dave], events, signal), new Map([[dave, system]]))
  t.strictSame(
    asked.filter((one) => /evaluate|add|build/.test(one) && !/keep|closed|held/.test(one)),
    [
      'evaluate dave',
      'evaluate dave',
      'nixbuild: add source',
      'nixbuild: add nixos-system-dave.drv',
      'nixbuild: build 1',
    ],
  )
})

t.test("an evaluator's own store gets nothing sent: what is lost is evaluated once more", async (t) => {
  const { asked, evaluator, store, events, signal, collect } = played({})
  const machine = { ...store, ...evaluator }
  const builder = builderOf('forge', { evaluator: machine, store: machine, clock })
  await builder.evaluate(['dave'], noOptions, events, signal)
  collect()
  await builder.build([dave], events, signal)
  t.strictSame(asked, [
    'evaluate dave',
    'forge: keep 1',
    'evaluate dave',
    'forge: keep 1',
    'forge: build 1',
    'forge: keep 1',
    'forge: held',
  ])
})

t.test('a source that the store refuses ends the build, and both connections', async (t) => {
  const { asked, evaluator, store, events, signal } = played({})
  const refusing: BuildStore = {
    ...store,
    openStore: async (abort) => ({
      ...(await store.openStore(abort)),
      addMultiple: async () => {
        throw new Problem('source was refused: it lacks a signature by a trusted key')
      },
    }),
  }
  await t.rejects(builderOf('nixbuild', { evaluator, store: refusing, clock }).build([dave], events, signal), {
    message: 'the store nixbuild: source was refused: it lacks a signature by a trusted key',
    stage: 'build',
    hints: [/^nixbuild takes only what is signed or content-addressed/],
  })
  t.ok(asked.includes('forge: closed') && asked.includes('nixbuild: closed'))
})

t.test('a build that failed keeps nothing, and closes its connection', async (t) => {
  const { asked, evaluator, store, events, signal } = played({ atStore: [dave, source] })
  const failing: BuildStore = {
    ...store,
    openStore: async (abort) => ({
      ...(await store.openStore(abort)),
      build: async ([derivation = dave]) => [{ derivation, ok: false, message: 'no cheese', outputs: {} }],
    }),
  }
  const results = await builderOf('nixbuild', { evaluator, store: failing, clock }).build([dave], events, signal)
  t.ok(results.get(dave) instanceof Problem)
  t.strictSame(asked, ['nixbuild: keep 1', 'nixbuild: closed'])
})

t.test('what was built is let go when nobody needs it any more', async (t) => {
  const { asked, evaluator, store, events } = played({ atStore: [dave, source] })
  const needed = new AbortController()
  await builderOf('nixbuild', { evaluator, store, clock }).build([dave], events, needed.signal)
  t.strictSame(asked.slice(-2), ['nixbuild: keep 1', 'nixbuild: held'])
  needed.abort()
  t.equal(asked.at(-1), 'nixbuild: closed')
})

t.test('a store that takes nothing more ends the build, and both connections, after a while', async (t) => {
  const { asked, evaluator, store, events, signal } = played({})
  const hanging: BuildStore = {
    ...store,
    openStore: async (abort) => {
      const open = await store.openStore(abort)
      let closed = () => {}
      return {
        ...open,
        addMultiple: () =>
          new Promise((_, reject) => {
            closed = () => reject(new Problem('the connection is closed'))
          }),
        close() {
          open.close()
          closed()
        },
      }
    },
  }
  const building = builderOf('nixbuild', { evaluator, store: hanging, clock }).build([dave], events, signal)
  await t.rejects(clock.until(building), {
    message: 'sending derivations to nixbuild made no progress for 10 min',
    stage: 'build',
  })
  t.equal(clock.monotonic(), standstillMs)
  t.ok(asked.includes('forge: closed') && asked.includes('nixbuild: closed'))
  t.equal(clock.sleeping, 0)
})
