import { Readable } from 'node:stream'
import t from 'tap'
import type { CopyRequest } from '../../lib/copy/copy.ts'
import { copyStrategy } from '../../lib/copy/index.ts'
import { patience, standstillMs } from '../../lib/nix/patience.ts'
import { relay } from '../../lib/copy/relay.ts'
import type { PathInfo, Store } from '../../lib/nix/store.ts'
import { parseStorePath } from '../../lib/nix/store-path.ts'
import type { TransferProgress } from '../../lib/nix/transfer.ts'
import { Problem } from '../../lib/problem.ts'
import { FakeClock, quiet } from '../checks/fake-clock.ts'

const contents = Buffer.from('twelve bytes')

const infos: PathInfo[] = ['glibc', 'bash', 'system'].map((name) => ({
  path: parseStorePath(`/nix/store/${'0'.repeat(32)}-${name}`),
  deriver: '',
  narHash: '',
  references: [],
  registrationTime: 0,
  narSize: contents.length,
  ultimate: false,
  signatures: [],
  contentAddress: '',
}))
const [glibc, bash, system] = infos as [PathInfo, PathInfo, PathInfo]

/** What was asked of both stores, in order, and stores that answer with what is given. */
function stores(answers: { from?: Partial<Store>; to?: Partial<Store> } = {}) {
  const asked: string[] = []
  const unexpected = () => Promise.reject(new Error('not expected'))
  const names = (paths: readonly string[]) => paths.map((path) => path.slice(44)).join(' ')
  const store = (end: string, given: Partial<Store>): Store => ({
    version: '2.26.3',
    trusted: true,
    queryValidPaths: unexpected,
    queryPathInfos: unexpected,
    queryClosure: unexpected,
    queryMissing: unexpected,
    build: unexpected,
    addMultiple: unexpected,
    narsFrom: () => unexpected() as never,
    addTempRoots: async (paths) => void asked.push(`${end}: roots ${names(paths)}`),
    close: () => void asked.push(`${end}: closed`),
    ...given,
  })
  const from = store('from', {
    async queryClosure(paths) {
      asked.push(`from: closure of ${names(paths)}`)
      return infos
    },
    async *narsFrom(wanted) {
      for (const info of wanted) yield { info, bytes: Readable.from([contents], { objectMode: false }) }
    },
    ...answers.from,
  })
  const to = store('to', {
    async queryValidPaths(paths, { substitute }) {
      asked.push(`to: which of ${names(paths)} are valid${substitute ? ', after substituting' : ''}`)
      return new Set([glibc.path])
    },
    async addMultiple(nars, { count, checkSignatures, onSent, onAdded }) {
      asked.push(`to: add ${count}${checkSignatures ? ', signed' : ''}`)
      for await (const { info, bytes } of nars) {
        for await (const piece of bytes) onSent?.(piece.length)
        onAdded?.(info)
        asked.push(`to: added ${names([info.path])}`)
      }
    },
    ...answers.to,
  })
  return { asked, from, to }
}

const request = (both: { from: Store; to: Store }, parts: Partial<CopyRequest> = {}): CopyRequest => ({
  roots: [system.path],
  from: both.from,
  to: both.to,
  openLanes: async () => ({ from: both.from, to: both.to, compressed: '' }),
  substitute: true,
  freeBytes: undefined,
  freeBytesNow: async () => undefined,
  onMove() {},
  onProgress() {},
  signal: new AbortController().signal,
  ...parts,
})

const problemOf = (work: Promise<unknown>): Promise<Problem> =>
  work.then(
    () => Promise.reject(new Error('it went well')),
    (error) => (error instanceof Problem ? error : Promise.reject(error)),
  )

t.test('only what the host lacks is sent, and nothing is asked for before it is safe from a collection', async (t) => {
  const both = stores()
  const progress: TransferProgress[] = []
  const result = await relay(request(both, { onProgress: (now) => progress.push(now) }))
  t.same(result, { closurePaths: 3, sentPaths: 2, sentBytes: 24 })
  t.same(both.asked, [
    'from: roots system',
    'from: closure of system',
    'to: roots glibc bash system',
    'to: which of glibc bash system are valid, after substituting',
    'to: add 2',
    'to: added bash',
    'to: added system',
  ])
  t.same(
    progress.map(({ pathsDone, bytesDone }) => [pathsDone, bytesDone]),
    [
      [0, 0],
      [0, 12],
      [1, 12],
      [1, 24],
      [2, 24],
    ],
  )
  t.ok(progress.every(({ pathsTotal, bytesTotal }) => pathsTotal === 2 && bytesTotal === 24))
})

t.test('when the host has everything, nothing is sent', async (t) => {
  const both = stores({ to: { queryValidPaths: async (paths) => new Set(paths) } })
  t.same(await relay(request(both, { substitute: false })), { closurePaths: 3, sentPaths: 0, sentBytes: 0 })
  t.same(both.asked, ['from: roots system', 'from: closure of system', 'to: roots glibc bash system'])
})

t.test('what has no room on the host is not begun', async (t) => {
  const both = stores()
  const problem = await problemOf(relay(request(both, { freeBytes: 23 })))
  t.match(problem.message, 'has room for')
  t.same(problem.hints, [])
  const whatToFree = async () => 'eat less'
  t.same((await problemOf(relay(request(stores(), { freeBytes: 23, whatToFree })))).hints, ['eat less'])
  t.notOk(both.asked.includes('to: add 2'))
  t.same((await relay(request(stores(), { freeBytes: 24 }))).sentPaths, 2)
})

t.test('the room is asked for once more when the host has fetched something by itself', async (t) => {
  const fetching = (type: number) =>
    stores({
      to: {
        async queryValidPaths(_paths, { onEvent }) {
          onEvent?.({ kind: 'start', id: 1, type, text: '', fields: [], parent: 0 })
          return new Set([glibc.path])
        },
      },
    })
  let asked = 0
  const freeBytesNow = async () => {
    asked++
    return 23
  }
  const problem = await problemOf(relay(request(fetching(108), { freeBytes: 1000, freeBytesNow })))
  t.match(problem.message, 'has room for')
  t.equal(asked, 1)
  const [askedForPath, nothing] = [101, stores()]
  t.same((await relay(request(fetching(askedForPath), { freeBytes: 1000, freeBytesNow }))).sentPaths, 2)
  t.same((await relay(request(nothing, { freeBytes: 1000, freeBytesNow }))).sentPaths, 2)
  t.equal(asked, 1, 'asking a cache takes no room')
})

t.test('a copy that stands still ends, says so, and closes both stores; a slow one goes on', async (t) => {
  const clock = new FakeClock()
  const { signal, moved, end } = patience('the copy', { clock, signal: new AbortController().signal })
  let closed: () => void = () => {}
  const both = stores({
    to: {
      async addMultiple(_nars, { onSent, onEvent }) {
        for (let turn = 0; turn < 20; turn++) {
          await clock.sleep(standstillMs - 1)
          if (turn % 2 === 0) onSent?.(1)
          else onEvent?.({ kind: 'message', text: 'still at it' })
        }
        await new Promise((_, reject) => {
          closed = () => reject(new Problem('the connection is closed'))
        })
      },
      close: () => closed(),
    },
  })
  const problem = await clock.until(problemOf(relay(request(both, { signal, onMove: moved }))))
  t.match(problem, { kind: 'failed', message: 'the copy made no progress for 10 min' })
  t.equal(clock.monotonic(), 20 * (standstillMs - 1) + standstillMs)
  t.ok(both.asked.includes('from: closed'))
  end()

  const quick = patience('the copy', { clock, signal: new AbortController().signal })
  await clock.until(relay(request(stores(), { signal: quick.signal, onMove: quick.moved })))
  quick.end()
  await quiet()
  t.equal(clock.sleeping, 0, 'nothing waits any more')
})

t.test('a failure says at which end it was, what arrived and what is next, and closes both stores', async (t) => {
  const host = stores({
    to: {
      trusted: false,
      async addMultiple(_nars, { onAdded }) {
        onAdded?.(bash)
        throw new Problem('the disk is full', { detail: 'No space left on device' })
      },
    },
  })
  const refused = await problemOf(relay(request(host)))
  t.equal(refused.message, "the host's store: the disk is full")
  t.equal(refused.detail, 'No space left on device')
  t.same(refused.hints, [
    'the host takes only signed paths from this login: deploy as root or with sudo',
    '1 of 2 paths (12 B of 24 B) arrived and stay there',
    `the next run goes on with ${system.path}`,
  ])
  t.same(host.asked.slice(-2), ['from: closed', 'to: closed'])

  const gone = async function* () {
    yield { info: bash, bytes: Readable.from([contents], { objectMode: false }) }
    throw new Problem('the connection to the Nix daemon was lost')
  }
  const builder = await problemOf(relay(request(stores({ from: { narsFrom: gone } }))))
  t.equal(builder.message, "the builder's store: the connection to the Nix daemon was lost")
  const broken = async function* () {
    async function* piece() {
      yield contents.subarray(0, 5)
      throw new Problem('the NAR ended')
    }
    yield { info: bash, bytes: Readable.from(piece(), { objectMode: false }) }
  }
  const cut = await problemOf(relay(request(stores({ from: { narsFrom: broken } }))))
  t.equal(cut.message, "the builder's store: the NAR ended")

  const nobody = { queryClosure: () => Promise.reject(new Problem('a path is not in the store')) }
  const early = await problemOf(relay(request(stores({ from: nobody }))))
  t.equal(early.message, "the builder's store: a path is not in the store")
})

t.test('an interruption closes both stores, and is told as one', async (t) => {
  const stop = new AbortController()
  let closed: () => void = () => {}
  const both = stores({
    to: {
      addMultiple: () =>
        new Promise((_, reject) => {
          closed = () => reject(new Problem('the connection is closed'))
          stop.abort()
        }),
      close: () => closed(),
    },
  })
  const problem = await problemOf(relay(request(both, { signal: stop.signal })))
  t.equal(problem.kind, 'interrupted')
  t.ok(both.asked.includes('from: closed'))
  const never = stores()
  t.equal((await problemOf(relay(request(never, { signal: stop.signal })))).kind, 'interrupted')
  t.same(never.asked, [])
})

t.test('a way of copying that does not exist is refused, with those that do', async (t) => {
  t.equal(copyStrategy('relay'), relay)
  for (const name of ['carrier-pigeon', 'constructor']) {
    const problem = await problemOf((async () => copyStrategy(name))())
    t.equal(problem.kind, 'usage')
    t.same(problem.hints, ['possible is: relay'])
  }
})
