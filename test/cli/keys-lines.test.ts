import t from 'tap'
import { keysLines, publicKeyLines } from '../../lib/cli/keys-lines.ts'
import type { KeysReport, ManagedKey, Verification } from '../../lib/deployment/keys/report.ts'
import { plain } from '../../lib/screen/line.ts'
import { widthOf } from '../../lib/screen/width.ts'

const now = Date.UTC(2026, 10, 26)

const key = (over: Partial<ManagedKey> = {}): ManagedKey => ({
  account: 'root',
  kind: 'key',
  home: '/root',
  file: '/root/.ssh/nixbuild',
  form: 'ok',
  link: undefined,
  mode: '600',
  owner: 'root',
  isVolatile: false,
  public: 'ssh-ed25519 AAAA dave:root:2026-08-18',
  fingerprint: 'SHA256:abc',
  wasAccepted: true,
  made: now - 100 * 86_400_000,
  rotating: undefined,
  ssh: {
    error: undefined,
    identities: ['/root/.ssh/nixbuild'],
    identitiesOnly: true,
    isTokenLogin: false,
    sendsToken: false,
    alive: 60,
    isThroughput: true,
    port: 22,
    aliases: [],
    knownHostsFiles: ['/root/.ssh/known_hosts'],
    pinnedIn: ['/root/.ssh/known_hosts'],
    otherHostKeyIn: [],
    isBlockOpen: false,
    isInStore: false,
  },
  usedByDaemon: true,
  acceptance: 'yes',
  findings: [],
  ...over,
})

const report = (keys: readonly ManagedKey[], over: Partial<KeysReport> = {}): KeysReport => ({
  keys,
  machine: {
    system: 'aarch64-linux',
    builders: [],
    substituters: [],
    rootIdentities: [],
    rootPinnedIn: [],
    rootOtherHostKeyIn: [],
    systemRule: 'configuration',
    isNixos: true,
  },
  did: [],
  couldNot: [],
  verified: [],
  ...over,
})

const told = (of: KeysReport, columns?: number, verbose = false) =>
  keysLines('dave', of, { room: { columns, verbose }, now }).map(plain)

t.test('a key in order is one line: fingerprint, age, mode, whose, what is pinned and accepted', async (t) => {
  const mine = key({ account: 'me', usedByDaemon: false, made: undefined })
  t.same(told(report([key(), mine])), [
    '✓ dave  2 keys at nixbuild.net in order',
    '    root  SHA256:abc, 100 days old, mode 600, used by the daemon, host key pinned, accepted',
    '    me    SHA256:abc, age unknown, mode 600, used by the user, host key pinned, accepted',
    '    /etc/ssh comes from the NixOS configuration: `deploy keys module dave` prints what belongs there',
  ])
})

t.test('what is wrong is told with the command that mends it', async (t) => {
  const missing = key({
    form: 'missing',
    acceptance: 'unknown',
    findings: [{ account: 'root', code: 'missing', text: 'there is no key', mend: 'deploy keys install dave' }],
  })
  const lines = told(report([missing]))
  t.equal(lines[0], '✗ dave  1 of 1 key not in order')
  t.equal(lines[1]?.trim(), 'root', 'of a key that is not there nothing is told')
  t.equal(lines[2], '      ✗ there is no key')
  t.match(lines[3], /deploy keys install dave$/)
  const refused = told(report([key({ acceptance: 'refused', usedByDaemon: false })]))
  t.match(refused[1], /not used by the daemon, host key pinned, not accepted$/)
})

t.test('a token has no age, and both together are logins', async (t) => {
  const token = key({ kind: 'token', file: '/run/deploy-keys/token', fingerprint: undefined, made: undefined })
  const one = told(report([token]))
  t.match(one[0], '1 token at nixbuild.net')
  t.match(one[1], /root {2}\/run\/deploy-keys\/token, mode 600, used by the daemon/)
  t.match(told(report([token, key({ account: 'me' })]))[0], '2 logins at nixbuild.net')
})

t.test('what was done and what could not be come first; without keys, it is said what became of them', async (t) => {
  const lines = told(
    report([key()], { did: ['root: key made'], couldNot: [{ text: 'root: no answer', mend: 'look at the network' }] }),
  )
  t.same(lines.slice(1, 3), ['    root: key made', '    ✗ root: no answer'])
  t.match(lines[3], /look at the network$/)
  t.match(told(report([], { did: ['root: key deleted'] }))[0], 'keys revoked')
  t.match(told(report([], { couldNot: [{ text: 'root: no answer', mend: '' }] }))[0], '✗ dave  keys are left')
  t.match(told(report([]))[0], '✓ dave  no key was there')
})

t.test('how a key was tried, by whom, and the end of what Nix said', async (t) => {
  const tried = (over: Partial<Verification>): Verification => ({
    account: 'root',
    way: 'build',
    works: true,
    isConfigured: true,
    on: 'ssh://eu.nixbuild.net',
    said: '',
    ...over,
  })
  const said = Array.from({ length: 30 }, (_, number) => `line ${number}`).join('\n')
  const of = report([key()], {
    verified: [
      tried({}),
      tried({ isConfigured: false, on: undefined }),
      tried({ account: 'me', way: 'local-rebuild', works: false, on: undefined, said }),
    ],
  })
  const lines = told(of)
  t.equal(lines[0]?.[0], '✗')
  t.match(lines[3], '✓ root: a build through the daemon works, built on ssh://eu.nixbuild.net')
  t.match(lines[4], "the daemon's own configuration has no builder there, so it was given one for this")
  t.match(lines[5], '✗ me: a build started on the host itself, with --max-jobs 0 fails')
  t.match(lines.join('\n'), 'line 29')
  t.notMatch(lines.join('\n'), 'line 3\n', 'only the end')
  t.match(told(of, undefined, true).join('\n'), 'line 0')
  t.match(lines.at(-1), 'deploy keys module dave')
})

t.test('on a narrow terminal no line is wider than it is', async (t) => {
  const of = report([key(), key({ account: 'my_username' })], { did: ['root: the host key of it is pinned in a file'] })
  for (const columns of [30, 40, 60]) for (const line of told(of, columns)) t.ok(widthOf(line) <= columns, line)
})

t.test('where /etc/ssh is written by hand, that is told', async (t) => {
  const { machine } = report([])
  const lines = told(report([key()], { machine: { ...machine, systemRule: 'hand' } }))
  t.match(lines.at(-1), '/etc/ssh is written by hand: no configuration undoes it')
})

t.test('public keys are printed alone, to be pasted', async (t) => {
  const lines = publicKeyLines('dave', report([key(), key({ public: undefined })])).map(plain)
  t.same(lines, ['ssh-ed25519 AAAA dave:root:2026-08-18'])
})
