import t from 'tap'
import { candidatesFor, pairsOf, unversioned } from '../../../lib/copy/delta/bases.ts'
import type { PathInfo } from '../../../lib/nix/store.ts'
import { parseStorePath } from '../../../lib/nix/store-path.ts'

let made = 0
const pathOf = (name: string) => parseStorePath(`/nix/store/${String(made++).padStart(32, '0')}-${name}`)
const infoOf = (name: string, narSize = 1000): PathInfo => ({
  path: pathOf(name),
  deriver: '',
  narHash: '',
  references: [],
  registrationTime: 0,
  narSize,
  ultimate: false,
  signatures: [],
  contentAddress: '',
})

t.test('a name is known again in another version, and outputs are kept apart', async (t) => {
  for (const [name, expected] of [
    ['nginx-1.26.2', 'nginx'],
    ['openssl-3.0.14-dev', 'openssl-dev'],
    ['openssl-3.0.14', 'openssl'],
    ['postgresql-15-1.1', 'postgresql'],
    ['linux-6.6.31-modules', 'linux-modules'],
    ['nixos-system-dave-25.11', 'nixos-system-dave'],
    ['7zip', ''],
  ] as const)
    t.equal(unversioned(pathOf(name)), expected, name)
})

t.test('the base is the one whose name is closest, then the one whose size is', async (t) => {
  const [old, same, other] = [infoOf('python3-3.11.8'), infoOf('python3-3.11.9'), infoOf('python3-3.12.1', 500)]
  const choice = (info: PathInfo, ...candidates: PathInfo[]) => pairsOf([info], candidates).get(info.path)?.base
  const wanted = infoOf('python3-3.11.9')
  t.equal(choice(wanted, old, same, other), same)
  t.equal(choice(wanted, other, old), old)
  t.equal(choice(wanted, other), other)
  t.equal(choice(wanted, infoOf('python3-3.11.9-dev')), undefined)
  const [small, large] = [infoOf('etc', 900), infoOf('etc', 90_000)]
  t.equal(choice(infoOf('etc', 80_000), small, large), large)
  t.equal(choice(infoOf('etc', 1_000), large, small), small)
})

t.test('only what the host has is a base, and no path is its own', async (t) => {
  const [wanted, old] = [infoOf('git-2.44.1'), infoOf('git-2.44.0')]
  t.same(candidatesFor([wanted], [wanted.path, old.path, pathOf('glibc-2.39')]), [old.path])
})
