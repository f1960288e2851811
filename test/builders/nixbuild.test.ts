import fc from 'fast-check'
import t from 'tap'
import { buildHookTo, hookRefused } from '../../lib/builders/build-hook.ts'
import { nixbuildLogin, nixbuildWords, whatNixbuildWants } from '../../lib/builders/nixbuild.ts'
import type { StoreSpec } from '../../lib/inventory/inventory.ts'
import { NotLetIn } from '../../lib/machine/machine.ts'

const spec: StoreSpec = {
  kind: 'store',
  name: 'nixbuild',
  destination: 'ssh://eu.nixbuild.net',
  systems: undefined,
  evaluateOn: 'forge',
  buildHook: false,
  service: 'nixbuild.net',
  identityFile: undefined,
  hostKey: undefined,
  token: undefined,
  keyCommands: { add: 'ssh-keys add {key} {comment}', remove: 'ssh-keys remove {key}' },
  settings: new Map([['max-cpu', '4']]),
  tags: new Map([['github-run', '7']]),
}
const login = { name: 'nixbuild', destination: spec.destination, elevation: 'none' } as const

t.test('the published host key is pinned, and settings and tags are variables', (t) => {
  const made = nixbuildLogin(login, spec, undefined)
  t.match(made.hostKey, { key: /^ssh-ed25519 AAAA\S+$/, from: 'docs.nixbuild.net/getting-started' })
  t.strictSame(made.environment, { NIXBUILDNET_MAX_CPU: '4', NIXBUILDNET_TAG_GITHUB_RUN: '7' })
  t.match(made.options, { PubkeyAcceptedKeyTypes: 'ssh-ed25519', ServerAliveInterval: '60' })
  const own = { key: 'ssh-ed25519 BBBB', from: 'hosts.yaml' }
  t.strictSame(nixbuildLogin({ ...login, hostKey: own }, spec, undefined).hostKey, own)
  t.end()
})

t.test(
  'by a build hook, its lines have the published host key or the one of hosts.yaml, and what it builds for',
  (t) => {
    const lines = (over: Partial<StoreSpec>) => {
      const text = new Map(buildHookTo({ ...spec, ...over }, false).settings).get('builders') ?? ''
      return text.split(' ; ').map((line) => line.split(' '))
    }
    t.same(
      lines({ destination: 'ssh://me@eu.nixbuild.net/' }).map((fields) => [fields.length, ...fields.slice(0, 3)]),
      [
        [8, 'ssh://me@eu.nixbuild.net', 'x86_64-linux,i686-linux', '-'],
        [8, 'ssh://me@eu.nixbuild.net', 'aarch64-linux,armv7l-linux', '-'],
      ],
    )
    const keyOf = (fields: readonly string[] = []) => Buffer.from(fields[7] ?? '', 'base64').toString()
    t.match(keyOf(lines({})[0]), /^ssh-ed25519 AAAA/)
    const own = lines({ systems: ['aarch64-linux'], hostKey: 'ssh-ed25519 BBBB' })
    t.same([own.length, own[0]?.[1], keyOf(own[0])], [1, 'aarch64-linux,armv7l-linux', 'ssh-ed25519 BBBB'])
    t.equal(lines({ systems: ['riscv64-linux'] })[0]?.[1], 'riscv64-linux', 'who says so knows')
    t.end()
  },
)

t.test('a Nix that would take no notice of the hook is told before it builds something itself', (t) => {
  const hook = buildHookTo(spec, false)
  const why = (user: string, version: string, trusted?: boolean) =>
    hookRefused(hook, { user }, { version, trusted })?.message ?? ''
  for (const version of ['2.20.0', '2.26.3', '3.0', '2.34.1pre']) t.equal(why('me', version, true), '', version)
  for (const version of ['', '2.18.9', '2.91.1'])
    t.match(why('me', version, true), /the Nix of forge.* tells its daemon nothing of nixbuild, but as root/, version)
  t.equal(why('root', '2.8.0'), '')
  t.match(why('me', '2.26.3', false), 'the Nix daemon of forge does not trust me')
  t.end()
})

t.test('a token is in variables alone, never among the options', (t) => {
  fc.assert(
    fc.property(fc.string({ minLength: 8 }), (token) => {
      const { environment, ...rest } = nixbuildLogin(login, spec, token)
      t.equal(environment?.['NIXBUILDNET_TOKEN'], token)
      return !JSON.stringify(rest).includes(JSON.stringify(token).slice(1, -1))
    }),
  )
  t.match(nixbuildLogin(login, spec, 'x').options, { PreferredAuthentications: 'none' })
  for (const destination of ['ssh://eu.nixbuild.net:2223', 'ssh://me@eu.nixbuild.net:2223'])
    t.equal(nixbuildLogin({ ...login, destination }, spec, 'x').destination, 'ssh://authtoken@eu.nixbuild.net:2223')
  t.end()
})

t.test('who is not let in is told what is missing, and how to get it', (t) => {
  const refusal = new NotLetIn('eu.nixbuild.net:22 did not let me log in', {
    kind: 'unreachable',
    detail: 'tried: no key',
  })
  const key = whatNixbuildWants(refusal, { ...spec, identityFile: '/home/me/.ssh/nixbuild' })
  t.match(key.hints, [
    /ssh-keygen -t ed25519 -f \S*\/home\/me\/\.ssh\/nixbuild\S*; its public half is \/home\/me\/\.ssh\/nixbuild\.pub/,
    /ssh-keys add ssh-ed25519/,
  ])
  t.equal(key.hints.length, 2)
  t.match(key, { kind: 'unreachable', detail: 'tried: no key' })
  const token = whatNixbuildWants(refusal, { ...spec, token: { env: 'NIXBUILDNET_TOKEN' } })
  t.match(token.hints, [/^make a token/, /tokens create/])
  t.end()
})

t.test('what the service says between the lines of a build is told apart from them', (t) => {
  const said = "[nixbuild.net] Build 287746 finished in 11 seconds with status 'built'"
  const words = "nixbuild.net: Build 287746 finished in 11 seconds with status 'built'"
  t.equal(nixbuildWords(`nginx-1.26.2> ${said}`), words)
  t.equal(nixbuildWords(said), words)
  t.equal(nixbuildWords(`nginx-1.26.2> echo "${said}"`), undefined)
  t.equal(nixbuildWords('nginx-1.26.2> configuring'), undefined)
  t.end()
})
