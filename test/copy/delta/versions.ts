/** Two packages in two versions in real stores, as a builder has them and a host does. */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type t from 'tap'
import { type Pair, pairsOf } from '../../../lib/copy/delta/bases.ts'
import { systemClock } from '../../../lib/edge/clock.ts'
import type { PathInfo } from '../../../lib/nix/store.ts'
import type { StorePath } from '../../../lib/nix/store-path.ts'
import { type LocalStore, localStore } from './two-stores.ts'

const lacks = ['nix-store', 'zstd'].find((program) => spawnSync(program, ['--version']).status !== 0)
export const skip = lacks === undefined ? false : `${lacks} is not installed`

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

export interface Versions {
  readonly from: LocalStore
  readonly to: LocalStore
  readonly infos: readonly PathInfo[]
  readonly pairs: readonly Pair[]
}

/** Two packages in two versions, the old ones in both stores, and one path that is new. */
export async function versions(t: Tap): Promise<Versions> {
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
export type Tap = Pick<typeof t, 'equal' | 'same' | 'testdir' | 'teardown'>

export const zstd = spawnSync('sh', ['-c', 'command -v zstd']).stdout.toString().trim()
export const baseOf = ({ pairs }: Versions, name: string) =>
  pairs.find(({ base }) => base.path.endsWith(name))?.base.path as StorePath

const leftBehind = ({ from, to }: Versions) => [from, to].flatMap((store) => store.directories()).filter(existsSync)
export const isValid = ({ to }: Versions, path: StorePath) =>
  spawnSync('nix-store', ['--check-validity', path, '--store', to.directory]).status === 0

/** Every path that the store says it has is what its hash says; none but those told of are there. */
export async function intact(t: Tap, set: Versions, added: readonly StorePath[]): Promise<void> {
  for (const { path } of set.infos) t.equal(isValid(set, path), added.includes(path), path)
  if (added.length > 0) t.equal(set.to.run('--verify-path', ...added), '')
  // who made patches that nobody wants any more may be about to notice
  for (let tries = 50; tries > 0 && leftBehind(set).length > 0; tries--) await systemClock.sleep(200)
  t.same(leftBehind(set), [])
}
