import { Readable } from 'node:stream'
import t from 'tap'
import type { PathInfo, Store } from '../../lib/nix/store.ts'
import { parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import { transfer } from '../../lib/nix/transfer.ts'

const pathOf = (name: string) => parseStorePath(`/nix/store/${'0'.repeat(32)}-${name}`)
const namesOf = (paths: readonly StorePath[]) => paths.map((path) => path.slice(44)).join(' ')

/** Stores of a graph, one with all of it and one with what is given; what either is asked, in order. */
function played(graph: Readonly<Record<string, readonly string[]>>, valid: readonly string[]) {
  const asked: string[] = []
  const info = (path: StorePath): PathInfo => ({
    path,
    deriver: '',
    narHash: '',
    references: (graph[path.slice(44)] ?? []).map(pathOf),
    registrationTime: 0,
    narSize: 1,
    ultimate: false,
    signatures: [],
    contentAddress: '',
  })
  const from = {
    addTempRoots: async () => {},
    async queryPathInfos(paths: readonly StorePath[]) {
      asked.push(`about ${namesOf(paths)}`)
      return paths.map(info)
    },
    async queryClosure() {
      asked.push('closure')
      return Object.keys(graph).toReversed().map(pathOf).map(info)
    },
    async *narsFrom(infos: readonly PathInfo[]) {
      for (const one of infos) yield { info: one, bytes: Readable.from([Buffer.from('x')], { objectMode: false }) }
    },
    close() {},
  } as Partial<Store> as Store
  const added: StorePath[] = []
  const to = {
    addTempRoots: async (paths) => void asked.push(`keep ${namesOf(paths)}`),
    async queryValidPaths(paths, { substitute }) {
      asked.push(`has ${namesOf(paths)}${substitute ? ' after substituting' : ''}`)
      return new Set(paths.filter((path) => valid.includes(path.slice(44))))
    },
    async addMultiple(nars) {
      for await (const nar of nars) {
        for await (const _ of nar.bytes);
        added.push(nar.info.path)
      }
    },
    close() {},
  } as Partial<Store> as Store
  const run = (root: string) =>
    transfer({
      roots: [pathOf(root)],
      from: { store: from, name: 'here' },
      to: { store: to, name: 'there' },
      substitute: false,
      fromAbove: true,
      whenUntrusted: '',
      onMove() {},
      onProgress() {},
      signal: new AbortController().signal,
    })
  return { asked, added, run }
}

t.test('from above, nothing is asked of what is below a path that is there', async (t) => {
  const graph = { top: ['changed', 'same'], changed: ['source', 'same'], source: [], same: ['below'], below: [] }
  const { asked, added, run } = played(graph, ['same', 'below'])
  t.same(await run('top'), { closurePaths: 4, sentPaths: 3, sentBytes: 3 })
  t.same(asked, [
    'keep top',
    'has top',
    'about top',
    'keep changed same',
    'has changed same',
    'about changed',
    'keep source',
    'has source',
    'about source',
  ])
  t.equal(namesOf(added), 'source changed top', 'references first')
})

t.test('from above, a store that has the root is asked once', async (t) => {
  const { asked, run } = played({ top: ['below'], below: [] }, ['top'])
  t.same(await run('top'), { closurePaths: 1, sentPaths: 0, sentBytes: 0 })
  t.same(asked, ['keep top', 'has top'])
})

t.test('of a store that lacks very much, all of it is asked at once', async (t) => {
  const many = Array.from({ length: 501 }, (_, number) => `path-${number}`)
  const graph = { top: many, ...Object.fromEntries(many.map((name) => [name, []])) }
  const { asked, added, run } = played(graph, [])
  t.match(await run('top'), { closurePaths: 502, sentPaths: 502 })
  t.equal(asked.filter((one) => one === 'closure').length, 1)
  t.equal(added.length, 502)
})
