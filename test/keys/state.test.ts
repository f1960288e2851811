import { execFileSync, spawnSync } from 'node:child_process'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { acceptanceFinding, daemonFindings, findingsOf } from '../../lib/keys/findings.ts'
import { nixosModule } from '../../lib/keys/module.ts'
import { parseAnswer } from '../../lib/keys/program.ts'
import { commentFor, isDaemons, isUsedByDaemon, keyHostOf } from '../../lib/keys/state.ts'
import { explain } from '../../lib/keys/why.ts'

const withSsh = spawnSync('ssh', ['-V']).error === undefined ? {} : { skip: 'no ssh on this machine' }

const sound: Readonly<Record<string, string>> = {
  kind: 'key',
  home: '/root',
  file: '/root/.ssh/nixbuild',
  mode: '600',
  owner: 'root',
  form: 'ok',
  public: 'ssh-ed25519 AAAA dave:root:2026-11-26',
  fingerprint: 'SHA256:abc',
  identity: '/root/.ssh/nixbuild',
  'identities-only': 'yes',
  alive: '60',
  ipqos: 'throughput',
  port: '22',
  'known-hosts-file': '/root/.ssh/known_hosts',
  pinned: '/root/.ssh/known_hosts',
}

/** What a host tells of root, with these facts in place of the sound ones; an empty one is not told. */
const answer = (over: Readonly<Record<string, string>> = {}, machine: readonly string[] = []) =>
  [
    'account root',
    ...Object.entries({ ...sound, ...over }).flatMap(([key, value]) => (value === '' ? [] : [`${key} ${value}`])),
    'machine',
    'system x86_64-linux',
    'root-identity /root/.ssh/nixbuild',
    ...machine,
    'end',
  ].join('\n')

const hostWith = (...parts: Parameters<typeof answer>) => keyHostOf(parseAnswer(answer(...parts)))
const codes = (over: Readonly<Record<string, string>>) => {
  const [root] = hostWith(over).accounts
  return root ? findingsOf('dave', root, { port: 22 }).map(({ code }) => code) : []
}

t.test('a sound key has nothing wrong with it', async (t) => {
  t.same(codes({}), [])
  const [root] = hostWith().accounts
  t.equal(root?.made, Date.UTC(2026, 10, 26))
  t.same(codes({ mode: '400' }), [])
  t.same(
    codes({ link: '/run/agenix/nixbuild', mode: '440', owner: 'keys' }),
    [],
    'who puts it there sees to its rights',
  )
})

t.test('each state has a name of its own', async (t) => {
  const cases: [Readonly<Record<string, string>>, string[]][] = [
    [{ form: 'missing', mode: '', owner: '' }, ['missing']],
    [{ form: 'no-account' }, ['no-account']],
    [{ mode: '640' }, ['mode']],
    [{ owner: 'me', form: 'ok' }, ['owner']],
    [{ owner: 'me', form: 'unreadable' }, ['owner']],
    [{ form: 'unreadable' }, ['unreadable']],
    [{ form: 'passphrase' }, ['passphrase']],
    [{ form: 'line-ends', mode: '644' }, ['mode', 'line-ends']],
    [{ rotating: 'next' }, ['rotating']],
    [{ volatile: 'yes' }, ['volatile']],
    [{ identity: '/root/.ssh/id_rsa', 'identities-only': 'no' }, ['not-named']],
    [{ identity: '/root/.ssh/id_rsa', alias: 'nixbuild' }, ['alias']],
    [{ 'identities-only': 'no' }, ['other-identities']],
    [{ alive: '0' }, ['options']],
    [{ port: '2223' }, ['port']],
    [{ block: 'open' }, ['block']],
    [{ pinned: '' }, ['no-host-key']],
    [{ pinned: '', 'other-host-key': '/root/.ssh/known_hosts' }, ['other-host-key']],
    [{ 'configuration-error': 'Bad owner or permissions on /root/.ssh/config' }, ['configuration']],
  ]
  for (const [over, expected] of cases) t.same(codes(over), expected, JSON.stringify(over))
})

const ofToken = {
  kind: 'token',
  file: '/run/deploy-keys/token',
  identity: '',
  'identities-only': '',
  public: '',
  fingerprint: '',
  login: 'authtoken',
  authentications: 'none',
  'sends-token': 'yes',
}

t.test('each state of a token has a name of its own', async (t) => {
  const cases: [Readonly<Record<string, string>>, string[]][] = [
    [{}, []],
    [{ form: 'missing', mode: '', owner: '', 'sends-token': '' }, ['missing']],
    [{ form: 'no-token', 'sends-token': '' }, ['no-token', 'not-named']],
    [{ mode: '644' }, ['mode']],
    [{ owner: 'me' }, ['owner']],
    [{ 'sends-token': '' }, ['not-named']],
    [{ login: 'root' }, ['not-named']],
    [{ authentications: 'publickey' }, ['not-named']],
    [{ alive: '0' }, ['options']],
    [{ pinned: '' }, ['no-host-key']],
  ]
  for (const [over, expected] of cases) t.same(codes({ ...ofToken, ...over }), expected, JSON.stringify(over))
  t.same(codes({ login: 'authtoken', authentications: 'none' }), ['not-named'], 'a block that was left from a token')
  const [refused] = acceptanceFinding(
    'dave',
    { account: 'root', kind: 'token', wasAccepted: false },
    { acceptance: 'refused', said: 'old' },
  )
  t.match(refused, { code: 'refused', text: /the token: old$/, mend: /tokens create .*`deploy keys install dave`$/ })
})

t.test('a daemon whose root logs in with a token', async (t) => {
  const line = 'builder ssh://eu.nixbuild.net x86_64-linux /home/me/.ssh/nixbuild 100 1'
  const host = hostWith(ofToken, [line])
  const [root] = host.accounts
  t.ok(root && isDaemons(host, root), 'the key that the daemon is given is not offered')
  t.match(explain(host).connections[0], { as: 'root', keys: ['the token in /run/deploy-keys/token'] })
  const named = hostWith(ofToken, ['builder ssh://root@eu.nixbuild.net x86_64-linux'])
  const findings = named.accounts.flatMap((key) => daemonFindings('dave', named, key, { hostKey: 'ssh-ed25519 AAAA' }))
  t.match(findings, [{ code: 'builder-user', text: /root@eu\.nixbuild\.net names a user/ }])
})

t.test('whose key the daemon uses', async (t) => {
  const uses = (...machine: readonly string[]) => {
    const host = hostWith({}, machine)
    const [root] = host.accounts
    return root && isDaemons(host, root)
  }
  t.equal(uses(), false, 'it has no builder there')
  t.equal(uses('builder ssh://eu.nixbuild.net x86_64-linux - 100 1'), true, "root's configuration says which")
  t.equal(uses('builder ssh://eu.nixbuild.net x86_64-linux /home/me/.ssh/nixbuild 100 1'), false)
  t.equal(uses('builder ssh-ng://eu.nixbuild.net?ssh-key=/root/.ssh/nixbuild x86_64-linux'), true)
  const post = hostWith({}, ['builder eu.nixbuild.net aarch64-linux /home/me/.ssh/nixbuild 100 1 - - aGVsbG8='])
  const { connections, notNeeded } = explain(post)
  t.match(connections[0], { as: 'root', keys: ['/home/me/.ssh/nixbuild', '/root/.ssh/nixbuild'] })
  t.same(connections[0]?.knownHosts, ['the host key in that line itself'])
  const given = 'the daemon is given /home/me/.ssh/nixbuild and'
  t.match(notNeeded[0], `${given} tries root's own key only where that is refused`)
  const unnamed = explain(
    hostWith({ identity: '/root/.ssh/id_rsa' }, ['builder eu.nixbuild.net - /home/me/.ssh/nixbuild']),
  )
  t.match(unnamed.notNeeded[0], `${given} does not look for root's own key`)
})

t.test("a user's key that root's configuration names is the daemon's, whoever's keys are managed", async (t) => {
  const me = answer({ home: '/home/me', file: '/home/me/.ssh/nixbuild' }, ['builder ssh://eu.nixbuild.net - -'])
  const host = (root: string) =>
    keyHostOf(
      parseAnswer(me.replace('account root', 'account me').replace(/root-identity .*/, `root-identity ${root}`)),
    )
  t.same(
    [host('/home/me/.ssh/nixbuild'), host('/root/.ssh/id_rsa')].map((one) =>
      one.accounts.map((key) => isDaemons(one, key)),
    ),
    [[true], [false]],
  )
})

t.test('where a builder of the daemon has another host key, the module has the right one for it', async (t) => {
  const service = { port: 22, hostKey: 'ssh-ed25519 AAAA' }
  const line = (hostKey: string) => [
    `builder ssh://eu.nixbuild.net - - 1 1 - - ${Buffer.from(hostKey).toString('base64')}`,
  ]
  const right = Buffer.from(service.hostKey).toString('base64')
  t.match(nixosModule('dave', hostWith({}, line('ssh-ed25519 BBBB')), service), `publicHostKey = "${right}";`)
  t.notMatch(nixosModule('dave', hostWith({}, line('ssh-ed25519 AAAA')), service), 'publicHostKey')
})

t.test('who writes the configuration of ssh is told, and where a person has to change it', async (t) => {
  const [finding] = hostWith({ identity: '', 'configuration-rule': 'store' }).accounts.flatMap((key) =>
    findingsOf('dave', key, { port: 22 }),
  )
  t.match(finding, { code: 'not-named', mend: '/root/.ssh/config comes from the configuration: add the block there' })
})

t.test('the daemon uses a key to build, or to fetch', async (t) => {
  const isUsed = (...machine: readonly string[]) => {
    const host = hostWith({}, machine)
    return host.accounts.map((key) => isUsedByDaemon(host, key))[0]
  }
  t.equal(isUsed(), false)
  t.equal(isUsed('builder ssh://eu.nixbuild.net x86_64-linux'), true)
  t.equal(isUsed('substituter ssh://eu.nixbuild.net'), true)
})

t.test('whether the daemon knows the host key, whoever the key belongs to', async (t) => {
  const found = (who: 'root' | 'me', over: Readonly<Record<string, string>>, ...machine: readonly string[]) => {
    const host = keyHostOf(parseAnswer(answer(over, machine).replace('account root', `account ${who}`)))
    const [key] = host.accounts
    return key ? daemonFindings('dave', host, key, { hostKey: 'ssh-ed25519 AAAA right' }).map(({ code }) => code) : []
  }
  const home = { home: '/home/me', file: '/home/me/.ssh/nixbuild', identity: '/home/me/.ssh/nixbuild' }
  const line = 'builder ssh://eu.nixbuild.net x86_64-linux /home/me/.ssh/nixbuild 100 1'
  const with_ = (hostKey: string) => `${line} - - ${Buffer.from(hostKey).toString('base64')}`
  t.same(found('me', home), [], 'the daemon has no builder there')
  t.same(found('me', home, line), ['daemon-host-key'])
  t.same(found('me', home, line, 'root-other-host-key /root/.ssh/known_hosts'), ['daemon-host-key'])
  t.same(found('me', home, line, 'root-pinned /root/.ssh/known_hosts'), [])
  t.same(found('me', home, with_('ssh-ed25519 AAAA comment\n')), [], 'the line brings it')
  t.same(found('me', home, with_('ssh-ed25519 BBBB\n')), ['builder-host-key'])
  t.same(found('root', {}, 'builder ssh://eu.nixbuild.net'), [], "root's own key tells of it")
  const inUri = `builder ssh://eu.nixbuild.net?base64-ssh-public-host-key=${Buffer.from('ssh-ed25519 BBBB').toString('base64')}`
  t.same(found('root', {}, inUri), ['builder-host-key'])
})

t.test('what follows the module in the configuration of ssh holds for every host', withSsh, async (t) => {
  const module = nixosModule('dave', hostWith(), { port: 22, hostKey: 'ssh-ed25519 AAAA' })
  const [, block = ''] = /extraConfig = ''\n([\s\S]*?)\n {2}'';/.exec(module) ?? []
  const file = join(t.testdir({ config: `${block}\nConnectTimeout 7\n` }), 'config')
  for (const name of ['eu.nixbuild.net', 'dave']) {
    t.match(execFileSync('ssh', ['-G', '-F', file, name], { encoding: 'utf8' }), /^connecttimeout 7$/m, name)
  }
})

t.test('with a token, the module lets root log in with it and everybody else with a key', withSsh, async (t) => {
  const module = nixosModule('dave', hostWith(ofToken), { port: 2223, hostKey: 'ssh-ed25519 AAAA' })
  const [, block = ''] = /extraConfig = ''\n([\s\S]*?)\n {2}'';/.exec(module) ?? []
  const read = (user: string) => {
    const config = block.replace('localuser root', `localuser ${user}`)
    const file = join(t.testdir({ config: `${config}\nConnectTimeout 7\n` }), 'config')
    return execFileSync('ssh', ['-G', '-F', file, 'eu.nixbuild.net'], { encoding: 'utf8' })
  }
  const [mine, other] = [read(userInfo().username), read('somebody-else')]
  t.match(mine, /^user authtoken$/m)
  t.match(mine, /^preferredauthentications none$/m)
  t.match(other, /^identityfile ~\/\.ssh\/nixbuild$/m)
  t.notMatch(other, /authtoken/)
  for (const one of [mine, other]) for (const line of ['port 2223', 'connecttimeout 7']) t.match(one, line)
})

t.test('comments and the module can hold whatever a host is called', async (t) => {
  t.equal(commentFor('dave', 'root', new Date('2026-11-26T23:00:00Z')), 'dave:root:2026-11-26')
  t.match(commentFor('da ve', 'me$', new Date(0)), /^da_ve:me_:1970-01-01$/)
  const service = { port: 2223, hostKey: 'ssh-ed25519 AAAA' }
  const module = nixosModule('dave', hostWith(), service)
  t.match(module, 'hostNames = [ "[eu.nixbuild.net]:2223" ]')
  t.match(module, '      Port 2223\n')
  t.match(module, 'nix.distributedBuilds = true')
  t.notMatch(nixosModule('dave', hostWith({}, ['builder ssh://eu.nixbuild.net']), service), 'distributedBuilds')
})
