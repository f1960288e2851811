import t from 'tap'
import { flakeQuery, parseFlakeReference } from '../../lib/nix/flake-reference.ts'

t.test('what is on the control machine is told from what the evaluator fetches', async (t) => {
  const local = (directory: string, rest: Record<string, unknown> = {}) => ({
    kind: 'local',
    directory,
    plain: false,
    subdirectory: '',
    parameters: new Map(),
    ...rest,
  })
  const table: [string, unknown][] = [
    ['/home/me/hosts', local('/home/me/hosts')],
    ['.', local('.')],
    ['..', local('..')],
    ['./hosts', local('./hosts')],
    ['/a%20b', local('/a%20b')],
    ['/hosts?dir=a%2Bb', local('/hosts', { subdirectory: 'a+b' })],
    ['/hosts?submodules=1', local('/hosts', { parameters: new Map([['submodules', '1']]) })],
    ['path:/a%20b', local('/a b', { plain: true })],
    ['path:./x', local('./x', { plain: true })],
    ['git+file:///srv/hosts?dir=a', local('/srv/hosts', { subdirectory: 'a' })],
    ['git+file:/srv/hosts', local('/srv/hosts')],
  ]
  for (const [text, expected] of table) t.strictSame(parseFlakeReference(text), expected, text)
  for (const reference of [
    'nixpkgs',
    'nixpkgs/nixos-25.05',
    'github:NixOS/nixpkgs',
    'git+https://example.org/x?ref=main',
    'git+ssh://git@example.org/x',
    'https://example.org/x.tar.gz',
    '.hidden',
  ]) {
    t.strictSame(parseFlakeReference(reference), { kind: 'remote', reference })
  }
})

t.test('parameters are written as a query that Nix reads back', async (t) => {
  t.equal(flakeQuery([]), '')
  t.equal(
    flakeQuery([
      ['dir', 'hosts/a b+c'],
      ['submodules', '0'],
    ]),
    '?dir=hosts/a%20b%2Bc&submodules=0',
  )
})
