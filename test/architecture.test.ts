import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'tap'

const root = join(import.meta.dirname, '..')

interface Import {
  readonly from: string
  /** a file of ours, relative to the repository, or the name of a package */
  readonly to: string
  /** erased by the compiler */
  readonly isType: boolean
}

/** Imports, exports from elsewhere and dynamic imports. */
function importsOf(from: string, text: string): Import[] {
  const found: Import[] = []
  const add = (specifier: string, isType: boolean) => {
    const to = specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : specifier
    found.push({ from, to, isType })
  }
  for (const [, type, names = '', specifier = ''] of text.matchAll(
    /^(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?'([^']+)'/gm,
  )) {
    const inBraces = /^\{([^}]*)\}$/s.exec(names)?.[1]
    const onlyTypes = inBraces?.split(',').every((name) => /^\s*(type\s|$)/.test(name)) ?? false
    add(specifier, type !== undefined || onlyTypes)
  }
  for (const [, type, specifier = ''] of text.matchAll(/(typeof\s+)?\bimport\('([^']+)'\)/g)) {
    add(specifier, type !== undefined)
  }
  return found
}

const textOf = (file: string) => readFileSync(join(root, file), 'utf8')
const files = readdirSync(join(root, 'lib'), { recursive: true })
  .map((file) => `lib/${String(file)}`)
  .filter((file) => file.endsWith('.ts'))
  .sort()
const imports = files.flatMap((file) => importsOf(file, textOf(file)))

/** The directory under lib, or the file that lies in lib itself. */
const partOf = (file: string) => file.split('/')[1] ?? ''

/** Higher imports lower. Parts of one rank know nothing of each other. */
const ranks: readonly (readonly string[])[] = [
  ['problem.ts', 'clock.ts', 'format.ts'],
  ['nix', 'inventory', 'machine', 'screen'],
  ['builders', 'copy', 'activation', 'checks', 'keys'],
  ['deployment'],
  ['cli'],
  ['main.ts'],
]
const rankOf = (part: string) => ranks.findIndex((parts) => parts.includes(part))

/** Words that parts of one rank share: a host in the inventory says how its machine is logged in to. */
const sharedTypes = ['inventory -> machine']

const describe = ({ from, to }: Import) => `${from} imports ${to}`
const between = ({ from, to }: Import) => `${partOf(from)} -> ${partOf(to)}`
const own = imports.filter(({ to }) => to.startsWith('lib/'))

test('the imports of a file are found, and those that are only types are told apart', (t) => {
  const text = [
    "import type { A } from './a.ts'",
    "import { type B, type C } from '../nix/b.ts'",
    "import { type D, d } from './d.ts'",
    "import e from 'e'",
    "export * from './f.ts'",
    'import {',
    '  type G,',
    '  g,',
    "} from './g.ts'",
    "import './h.ts'",
    "const i = await import('./i.ts')",
    "type J = typeof import('j')",
  ].join('\n')
  t.strictSame(
    importsOf('lib/cli/x.ts', text).map(({ to, isType }) => `${to}${isType ? ' (type)' : ''}`),
    [
      'lib/cli/a.ts (type)',
      'lib/nix/b.ts (type)',
      'lib/cli/d.ts',
      'e',
      'lib/cli/f.ts',
      'lib/cli/g.ts',
      'lib/cli/h.ts',
      'lib/cli/i.ts',
      'j (type)',
    ],
  )
  t.end()
})

test('every part of lib has its place in the order', (t) => {
  const parts = new Set(files.map(partOf))
  t.strictSame(
    [...parts].filter((part) => part !== 'edge' && rankOf(part) === -1),
    [],
  )
  t.ok(own.length > 100, 'imports were found at all')
  t.end()
})

test('every import points to a file that is there', (t) => {
  t.strictSame(own.filter(({ to }) => !files.includes(to)).map(describe), [])
  t.end()
})

test('imports go from higher parts to lower ones, and never between parts of one rank', (t) => {
  const wrong = own.filter((one) => {
    const [from, to] = [partOf(one.from), partOf(one.to)]
    if (from === to || from === 'edge' || to === 'edge') return false
    if (rankOf(from) > rankOf(to)) return false
    return !(one.isType && sharedTypes.includes(between(one)))
  })
  t.strictSame(wrong.map(describe), [])
  t.end()
})

test('only lib/main.ts imports the edge, and the edge knows nothing above what it implements', (t) => {
  const intoEdge = own.filter(({ from, to }) => partOf(to) === 'edge' && partOf(from) !== 'edge')
  t.strictSame(intoEdge.filter(({ from }) => from !== 'lib/main.ts').map(describe), [])
  const outOfEdge = own.filter(({ from, to }) => partOf(from) === 'edge' && partOf(to) !== 'edge')
  const allowed = (one: Import) => rankOf(partOf(one.to)) <= (one.isType ? rankOf('checks') : rankOf('nix'))
  t.strictSame(outOfEdge.filter((one) => !allowed(one)).map(describe), [])
  t.end()
})

test('ssh2, ora and child_process are each imported in one file', (t) => {
  for (const name of ['ssh2', 'ora', 'child_process']) {
    const importing = new Set(imports.filter(({ to }) => to.replace(/^node:/, '') === name).map(({ from }) => from))
    t.equal(importing.size, 1, `${name}: ${[...importing].join(', ')}`)
    t.ok([...importing].every((file) => partOf(file) === 'edge'))
  }
  t.end()
})

test('outside the edge nobody prints, waits, looks at the clock or ends the process', (t) => {
  const effect =
    /\b(?:console\.|setTimeout\(|setInterval\(|Date\.now\(|new Date\(\)|process\.(?:exit|stdout|stderr|env|argv|on)\b)/
  const code = (file: string) => textOf(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
  const found = files
    .filter((file) => partOf(file) !== 'edge')
    .flatMap((file) => {
      const what = effect.exec(code(file))?.[0]
      return what === undefined ? [] : [`${file}: ${what}`]
    })
  // An error that nobody waits for comes to nobody else.
  t.strictSame(found, ['lib/main.ts: process.on'])
  t.end()
})
