/** NARs for tests, from trees as data. */
import fc from 'fast-check'
import { string } from '../../lib/nix/protocol/wire.ts'

export type Tree =
  | { type: 'regular'; executable: boolean; contents: Uint8Array }
  | { type: 'symlink'; target: string }
  | { type: 'directory'; entries: Record<string, Tree> }

export const narOf = (tree: Tree): Buffer => Buffer.concat([string('nix-archive-1'), node(tree)])

function node(tree: Tree): Buffer {
  const words = (...items: (string | Uint8Array)[]) => Buffer.concat(items.map(string))
  if (tree.type === 'symlink') return words('(', 'type', 'symlink', 'target', tree.target, ')')
  if (tree.type === 'regular') {
    const executable = tree.executable ? words('executable', '') : Buffer.alloc(0)
    return Buffer.concat([words('(', 'type', 'regular'), executable, words('contents', tree.contents, ')')])
  }
  const entries = Object.entries(tree.entries).sort(([one], [other]) => (one < other ? -1 : 1))
  const written = entries.map(([name, entry]) =>
    Buffer.concat([words('entry', '(', 'name', name, 'node'), node(entry), words(')')]),
  )
  return Buffer.concat([words('(', 'type', 'directory'), ...written, words(')')])
}

export const file = (contents: string): Tree => ({
  type: 'regular',
  executable: false,
  contents: Buffer.from(contents),
})

const names = fc.stringMatching(/^[a-zé)(][a-z0-9]{0,30}$/)

export const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      type: fc.constant('regular' as const),
      executable: fc.boolean(),
      contents: fc.uint8Array({ maxLength: 200 }),
    }),
    fc.record({ type: fc.constant('symlink' as const), target: fc.string({ maxLength: 60 }) }),
    fc.record({
      type: fc.constant('directory' as const),
      entries: fc.dictionary(names, tie('tree'), { maxKeys: 5, noNullPrototype: true }),
    }),
  ),
})).tree

/** The same bytes in pieces of those sizes, over and over. */
export function* inPieces(bytes: Uint8Array, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    yield Buffer.from(bytes.subarray(at, at + size))
    at += size
  }
}

/** Sizes of the pieces that a network might make. */
export const pieceSizes = fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 9 })
