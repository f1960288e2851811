import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { Readable } from 'node:stream'
import t from 'tap'
import { operation, said } from '../../lib/nix/protocol/operations.ts'
import { integer, string, strings } from '../../lib/nix/protocol/wire.ts'
import type { Nar, NixEvent, PathInfo, Store } from '../../lib/nix/store.ts'
import { type DerivationPath, parseDerivationPath, parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import { openStore } from '../../lib/nix/worker-protocol.ts'
import { Problem } from '../../lib/problem.ts'
import { file, narOf } from './make-nar.ts'
import { errorParts, PlayedDaemon } from './played-daemon.ts'

const path = (name: string): StorePath => parseStorePath(`/nix/store/${'0'.repeat(32)}-${name}`)
const derivation = (name: string): DerivationPath => parseDerivationPath(path(`${name}.drv`))

const infoOf = (name: string, narSize: number, references: readonly StorePath[] = []): PathInfo => ({
  path: path(name),
  deriver: '',
  narHash: '0'.repeat(64),
  references,
  registrationTime: 1,
  narSize,
  ultimate: false,
  signatures: [],
  contentAddress: '',
})

const infoOnWire = (info: PathInfo): Buffer =>
  Buffer.concat([
    string(info.deriver),
    string(info.narHash),
    strings(info.references),
    integer(info.registrationTime),
    integer(info.narSize),
    integer(0),
    strings(info.signatures),
    string(info.contentAddress),
  ])

async function open(minor = 37): Promise<{ daemon: PlayedDaemon; store: Store }> {
  const daemon = new PlayedDaemon()
  const [store] = await Promise.all([openStore(daemon.streams), daemon.greet(minor)])
  return { daemon, store }
}

/** The Problem that it ends with; a test fails when it doesn't. */
const problemOf = (work: Promise<unknown>): Promise<Problem> =>
  work.then(
    () => Promise.reject(new Error('it went well')),
    (error) => (error instanceof Problem ? error : Promise.reject(error)),
  )

async function* narsOf(nars: readonly (readonly [PathInfo, AsyncIterable<Uint8Array> | Iterable<Uint8Array>])[]) {
  for (const [info, bytes] of nars) yield { info, bytes: Readable.from(bytes, { objectMode: false }) } satisfies Nar
}

t.test('every protocol from Nix 2.5 to the newest is greeted, with what each one tells', async (t) => {
  for (const minor of [32, 33, 34, 35, 37, 38, 39]) {
    const daemon = new PlayedDaemon()
    const [store, heard] = await Promise.all([openStore(daemon.streams), daemon.greet(minor, ['a-new-feature'])])
    t.same(heard, [0x6e697863, 0x126, 0, 0], `1.${minor}`)
    t.equal(store.version, minor >= 33 ? `nix of 1.${minor}` : '')
    t.equal(store.trusted, minor >= 35 ? false : undefined)
  }
})

t.test('when no daemon answers, what was printed instead is shown', async (t) => {
  const nothing = new PlayedDaemon()
  nothing.errorOutput = 'bash: line 1: nix-daemon: command not found\n'
  nothing.exit()
  const missing = await problemOf(openStore(nothing.streams))
  t.equal(missing.message, 'no Nix daemon answered')
  t.equal(missing.detail, 'bash: line 1: nix-daemon: command not found')
  t.ok(missing.hints[0])

  const banner = new PlayedDaemon()
  banner.say(Buffer.from('Welcome to \u001b[1mforge\u001b[0m\nhave fun\n'))
  const other = await problemOf(openStore(banner.streams))
  t.equal(other.message, 'something else than a Nix daemon answered')
  t.equal(other.detail, 'Welcome to ?[1mforge?[0m\nhave fun')

  const short = new PlayedDaemon()
  short.say(Buffer.from('no\n'))
  short.exit()
  t.equal((await problemOf(openStore(short.streams))).detail, 'no')
})

t.test('a daemon that is too old, or from another time, is refused by its version', async (t) => {
  for (const [version, shown] of [
    [0x11f, '1.31'],
    [0x226, '2.38'],
  ] as const) {
    const daemon = new PlayedDaemon()
    daemon.say(integer(0x6478696f), integer(version))
    t.match((await problemOf(openStore(daemon.streams))).message, `protocol ${shown},`)
  }
})

t.test('an error at the greeting is told', async (t) => {
  const daemon = new PlayedDaemon()
  daemon.say(integer(0x6478696f), integer(0x100 + 34), string('2.8.0'), ...errorParts('the store is locked'))
  t.equal((await problemOf(openStore(daemon.streams))).message, 'the store is locked')
  t.ok(daemon.toDaemon.destroyed)
})

t.test('all questions are on their way before the first answer is needed', async (t) => {
  const { daemon, store } = await open()
  const infos = Array.from({ length: 2000 }, (_, index) => infoOf(`path-${index}`, index))
  const asking = store.queryPathInfos(infos.map((info) => info.path))
  for (const info of infos) {
    assert.equal(await daemon.reader.integer(), operation.queryPathInfo)
    assert.equal(await daemon.reader.string(), info.path)
  }
  for (const info of infos) daemon.answer(integer(1), infoOnWire(info))
  t.same(await asking, infos)
})

t.test('a path that is not there is named, and the connection goes on', async (t) => {
  const { daemon, store } = await open()
  const asking = problemOf(store.queryPathInfos([path('there'), path('gone'), path('lost')]))
  daemon.answer(integer(1), infoOnWire(infoOf('there', 1)))
  daemon.answer(integer(0))
  daemon.answer(integer(0))
  t.equal((await asking).message, `${path('gone')} is not in the store, nor are 1 more`)
  const roots = store.addTempRoots([path('there'), path('gone')])
  daemon.answer(integer(1))
  daemon.answer(integer(1))
  await roots
})

t.test('an error among many answers is told once, in the words of Nix', async (t) => {
  const { daemon, store } = await open()
  const asking = problemOf(store.addTempRoots([path('one'), path('two'), path('three')]))
  daemon.answer(integer(1))
  daemon.fail('\u001b[31;1mdisk is full\u001b[0m\nreally', ['while adding a root'])
  daemon.answer(integer(1))
  const problem = await asking
  t.equal(problem.message, 'disk is full')
  t.equal(problem.detail, '\u001b[31;1mdisk is full\u001b[0m\nreally\nwhile adding a root')
  const valid = store.queryValidPaths([path('one')], { substitute: false })
  daemon.answer(strings([path('one')]))
  t.same(await valid, new Set([path('one')]))
})

t.test('two callers at once wait for each other', async (t) => {
  const { daemon, store } = await open()
  const one = store.queryValidPaths([path('one')], { substitute: true })
  const two = store.queryValidPaths([path('two')], { substitute: false })
  t.equal(await daemon.reader.integer(), operation.queryValidPaths)
  t.same(await daemon.reader.strings(), [path('one')])
  t.equal(await daemon.reader.integer(), 1)
  for (let turn = 0; turn < 20; turn++) await setImmediate()
  t.equal(daemon.toDaemon.readableLength, 0, 'the second question is not written yet')
  daemon.answer(strings([path('one')]))
  t.same(await one, new Set([path('one')]))
  t.equal(await daemon.reader.integer(), operation.queryValidPaths)
  t.same(await daemon.reader.strings(), [path('two')])
  t.equal(await daemon.reader.integer(), 0)
  daemon.answer(strings([]))
  t.same(await two, new Set())
})

t.test('a daemon that dies ends whoever waits for it, with its last words', async (t) => {
  const { daemon, store } = await open()
  const asking = problemOf(store.queryValidPaths([path('one')], { substitute: true }))
  const waiting = problemOf(store.addTempRoots([path('two')]))
  daemon.errorOutput = 'error: out of memory\n'
  daemon.exit()
  const problem = await asking
  t.equal(problem.message, 'the connection to the Nix daemon was lost')
  t.equal(problem.detail, 'error: out of memory')
  t.equal(await waiting, problem)
  t.equal(await problemOf(store.queryPathInfos([path('one')])), problem)
})

t.test('closing ends whoever waits', async (t) => {
  const { store } = await open()
  const asking = problemOf(store.queryValidPaths([path('one')], { substitute: true }))
  store.close()
  t.match((await asking).message, 'closed')
})

t.test('nonsense ends the connection instead of being guessed at', async (t) => {
  const { daemon, store } = await open()
  const asking = problemOf(store.queryValidPaths([path('one')], { substitute: true }))
  daemon.answer(strings(['/etc/passwd']))
  const problem = await asking
  t.match(problem.detail, '/etc/passwd')
  t.equal(await problemOf(store.addTempRoots([path('one')])), problem)
})

t.test('what the daemon tells while it works becomes events', async (t) => {
  const { daemon, store } = await open()
  const events: NixEvent[] = []
  const asking = store.queryValidPaths([path('one')], { substitute: true, onEvent: (event) => events.push(event) })
  const fields = [integer(2), integer(1), string('field'), integer(0), integer(7)]
  daemon.say(
    integer(said.startActivity),
    integer(5),
    integer(3),
    integer(108),
    string('copying'),
    ...fields,
    integer(4),
  )
  daemon.say(integer(said.result), integer(5), integer(105), integer(1), integer(0), integer(9))
  daemon.say(integer(said.next), string('warning: slow\n'))
  daemon.say(integer(said.stopActivity), integer(5))
  daemon.answer(strings([]))
  await asking
  t.same(events, [
    { kind: 'start', id: 5, type: 108, text: 'copying', fields: ['field', 7], parent: 4 },
    { kind: 'result', id: 5, type: 105, fields: [9] },
    { kind: 'message', text: 'warning: slow' },
    { kind: 'stop', id: 5 },
  ])
})

t.test('NARs are cut out of the stream, and the connection goes on after the last one', async (t) => {
  const { daemon, store } = await open()
  const nars = ['first', 'second', 'third'].map((text) => narOf(file(text.repeat(1000))))
  const infos = nars.map((nar, index) => infoOf(`nar-${index}`, nar.length))
  for (const nar of nars) daemon.answer(nar)
  daemon.answer(integer(1))
  const found: Buffer[] = []
  for await (const nar of store.narsFrom(infos)) found.push(Buffer.concat(await nar.bytes.toArray()))
  t.same(found, nars)
  await store.addTempRoots([path('next')])
})

t.test('a NAR of another size than is known is refused, by name', async (t) => {
  const nar = narOf(file('contents'))
  for (const narSize of [nar.length - 8, nar.length + 8]) {
    const { daemon, store } = await open()
    daemon.answer(nar, Buffer.alloc(64))
    const reading = async () => {
      for await (const { bytes } of store.narsFrom([infoOf('odd', narSize)])) await bytes.toArray()
    }
    const problem = await problemOf(reading())
    t.match(problem.message, path('odd'))
    t.match(problem.message, `${narSize} bytes`)
  }
})

t.test('a NAR that ends early, and a daemon that reports an error in its place, are told by name', async (t) => {
  const nar = narOf(file('contents'))
  const reading = async (store: Store) => {
    for await (const { bytes } of store.narsFrom([infoOf('cut', nar.length)])) await bytes.toArray()
  }
  const cut = await open()
  cut.daemon.answer(nar.subarray(0, 40))
  cut.daemon.exit()
  t.match((await problemOf(reading(cut.store))).message, `${path('cut')} ended after 40 of ${nar.length} bytes`)

  const refused = await open()
  refused.daemon.answer(...errorParts('cannot open the file'))
  t.match((await problemOf(reading(refused.store))).message, 'cannot open the file')
})

t.test('leaving in the middle of NARs closes the store', async (t) => {
  const { daemon, store } = await open()
  const nar = narOf(file('contents'))
  daemon.answer(nar)
  for await (const { bytes } of store.narsFrom([infoOf('one', nar.length), infoOf('two', nar.length)])) {
    await bytes.toArray()
    break
  }
  t.match((await problemOf(store.addTempRoots([path('one')]))).message, 'closed')
})

t.test('a daemon that refuses a path and stops reading does not hang the sender', async (t) => {
  const { daemon, store } = await open()
  async function* endless() {
    for (;;) {
      yield Buffer.alloc(65536)
      await setImmediate()
    }
  }
  const size = 2 ** 40
  const adding = problemOf(
    store.addMultiple(narsOf([[infoOf('big', size), endless()]]), { count: 1, checkSignatures: false }),
  )
  t.equal(await daemon.reader.integer(), operation.addMultipleToStore)
  daemon.fail('\u001b[1mno space left on device\u001b[0m')
  const problem = await adding
  t.equal(problem.message, `${path('big')} was refused: no space left on device`)
  t.match((await problemOf(store.addTempRoots([path('one')]))).message, 'no space left')
})

t.test('each path is told of when the store has it, and an error names the one that failed', async (t) => {
  const { daemon, store } = await open()
  const nar = narOf(file('contents'))
  const nars = ['one', 'two', 'three'].map((name) => [infoOf(name, nar.length), [nar]] as const)
  const added: string[] = []
  let sent = 0
  const adding = problemOf(
    store.addMultiple(narsOf(nars), {
      count: 3,
      checkSignatures: true,
      onAdded: (info) => added.push(info.path),
      onSent: (bytes) => {
        sent += bytes
      },
    }),
  )
  while (sent < 3 * nar.length) await setImmediate()
  daemon.answer()
  daemon.fail('hash mismatch')
  t.equal((await adding).message, `${path('two')} was refused: hash mismatch`)
  t.same(added, [path('one')])
})

t.test('a source that ends early, or fails, leaves the frame open', async (t) => {
  const nar = narOf(file('contents'))
  async function* failing() {
    yield nar.subarray(0, 40)
    throw new Problem('the builder went away')
  }
  for (const [bytes, message] of [
    [[nar.subarray(0, 40)], `has 40 of ${nar.length} bytes`],
    [failing(), 'the builder went away'],
  ] as const) {
    const { daemon, store } = await open()
    const heard: Buffer[] = []
    daemon.toDaemon.on('data', (piece: Buffer) => heard.push(piece))
    const nars = narsOf([[infoOf('cut', nar.length), bytes]])
    const problem = await problemOf(store.addMultiple(nars, { count: 1, checkSignatures: false }))
    t.match(problem.message, message)
    t.ok(daemon.toDaemon.destroyed)
    t.notOk(Buffer.concat(heard).subarray(-8).equals(integer(0)), 'the end was not written')
  }
})

t.test('builds end with a verdict each, although Nix stops at the first failure', async (t) => {
  const { daemon, store } = await open(37)
  const [good, bad, late] = [derivation('good'), derivation('bad'), derivation('late')]
  const verdict = (drv: string, status: number, message = '', outputs: [string, string][] = []) =>
    Buffer.concat([
      string(`${drv}!*`),
      integer(status),
      string(message),
      ...[1, 0, 1700000000, 1700000009].map(integer),
      integer(1),
      integer(12),
      integer(0),
      integer(outputs.length),
      ...outputs.flatMap(([name, out]) => [
        string(`sha256:abc!${name}`),
        string(JSON.stringify({ id: `sha256:abc!${name}`, outPath: out.slice(11), signatures: [] })),
      ]),
    ])
  const building = store.build([good, bad, late], () => {})
  t.equal(await daemon.reader.integer(), operation.buildPathsWithResults)
  t.same(await daemon.reader.strings(), [`${good}!*`, `${bad}!*`, `${late}!*`])
  await daemon.reader.integer()
  // As 2.34, which leaves out what it did not finish, and as 2.26, which calls it failed without a word.
  daemon.answer(integer(2), verdict(bad, 3, '\u001b[31mbuilder failed\u001b[0m'), verdict(late, 9))
  t.equal(await daemon.reader.integer(), operation.buildPathsWithResults)
  t.same(await daemon.reader.strings(), [`${good}!*`, `${late}!*`])
  await daemon.reader.integer()
  daemon.answer(integer(2), verdict(good, 0, '', [['out', path('good')]]), verdict(late, 2))
  t.equal(await daemon.reader.integer(), operation.queryDerivationOutputMap)
  t.equal(await daemon.reader.string(), late)
  daemon.answer(integer(2), string('out'), string(path('late')), string('doc'), string(''))
  t.same(await building, [
    { derivation: good, ok: true, message: '', outputs: { out: path('good') } },
    { derivation: bad, ok: false, message: 'builder failed', outputs: {} },
    { derivation: late, ok: true, message: '', outputs: { out: path('late') } },
  ])
})

t.test('before Nix 2.8 each derivation is built by itself', async (t) => {
  const { daemon, store } = await open(33)
  const [good, bad] = [derivation('good'), derivation('bad')]
  const building = store.build([bad, good], () => {})
  t.equal(await daemon.reader.integer(), operation.buildPaths)
  t.same(await daemon.reader.strings(), [`${bad}!*`])
  await daemon.reader.integer()
  daemon.fail('builder failed')
  t.equal(await daemon.reader.integer(), operation.buildPaths)
  t.same(await daemon.reader.strings(), [`${good}!*`])
  await daemon.reader.integer()
  daemon.answer(integer(1))
  t.equal(await daemon.reader.integer(), operation.queryDerivationOutputMap)
  daemon.answer(integer(1), string('out'), string(path('good')))
  t.same(await building, [
    { derivation: bad, ok: false, message: 'builder failed', outputs: {} },
    { derivation: good, ok: true, message: '', outputs: { out: path('good') } },
  ])
})

t.test('the closure comes references first, with one question a level', async (t) => {
  const { daemon, store } = await open()
  const [glibc, bash, curl, top] = ['glibc', 'bash', 'curl', 'top'].map(path) as [
    StorePath,
    StorePath,
    StorePath,
    StorePath,
  ]
  const graph = new Map([
    [top, [top, curl, bash]],
    [curl, [glibc]],
    [bash, [glibc, bash]],
    [glibc, []],
  ])
  const asking = store.queryClosure([top])
  const levels: StorePath[][] = [[top], [curl, bash], [glibc]]
  for (const level of levels) {
    for (const expected of level) {
      await daemon.reader.integer()
      t.equal(await daemon.reader.string(), expected)
    }
    for (const asked of level) daemon.answer(integer(1), infoOnWire(infoOf(asked.slice(44), 1, graph.get(asked))))
  }
  t.same(
    (await asking).map((info) => info.path),
    [glibc, bash, curl, top],
  )
})
