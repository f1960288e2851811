import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { type Test, test } from 'tap'
import { Lines } from '../../lib/builders/lines.ts'
import { destinationArguments, hopArguments } from '../../lib/edge/ssh/destination.ts'
import { parseHostConfig } from '../../lib/edge/ssh/host-config.ts'
import { fingerprint } from '../../lib/edge/ssh/host-key.ts'
import { sshNetwork } from '../../lib/edge/ssh.ts'
import { type Machine, type Network, NotLetIn } from '../../lib/machine/machine.ts'
import { Problem } from '../../lib/problem.ts'
import { Bench, freePort, me, proxyTo, type Sshd, withSshd } from './sshd.ts'

const login = (destination: string) => ({ name: 'dave', destination, elevation: 'none' as const })

async function connect(t: Test, network: Network, destination: string): Promise<Machine> {
  const machine = await network.connect(login(destination))
  t.teardown(() => machine.close())
  return machine
}

/** That a command runs there, as us. */
async function works(t: Test, network: Network, destination: string): Promise<void> {
  const machine = await connect(t, network, destination)
  const { code, stdout } = await machine.run({ argv: ['id', '-un'] })
  t.same({ code, stdout }, { code: 0, stdout: `${me}\n` }, destination)
  await machine.close()
}

async function refused(t: Test, promise: Promise<unknown>): Promise<Problem> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof Problem)) throw error ?? new Error('it was not refused')
  t.match(error.message, /^[^A-Z.]/, 'the message is a line of words')
  return error
}

const common = `
  HostName 127.0.0.1
  IdentityFile @id
  IdentitiesOnly yes
  IdentityAgent none
  GlobalKnownHostsFile none
`
const host = (name: string, sshd: { port: number }, more = '') =>
  `Host ${name}\n  Port ${sshd.port}\n  ${more.replaceAll('; ', '\n  ')}\n${common}\n`

test('a host is found by whatever the ssh configuration calls it', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd({ hostKeys: ['ed25519', 'rsa', 'ecdsa'] })
  const name = `[127.0.0.1]:${sshd.port}`
  bench.know('known', name, sshd.hostKey('ed25519'))
  bench.know('rsa-only', name, sshd.hostKey('rsa'))
  bench.know('by-alias', 'the-alias', sshd.hostKey('ecdsa'))
  bench.know('by-pattern', '*.0.0.1', sshd.hostKey('ed25519'))
  bench.know('hashed', name, sshd.hostKey('ed25519'))
  execFileSync('ssh-keygen', ['-q', '-H', '-f', bench.file('hashed')], { stdio: 'ignore' })
  t.match(readFileSync(bench.file('hashed'), 'utf8'), /^\|1\|/, 'the names are hashed')
  bench.write('included', bench.here(host('included', sshd, 'UserKnownHostsFile @known')))
  const configFile = bench.config(
    [
      'Include @included',
      `Match originalhost matched exec "true"\n  Port ${sshd.port}\n  UserKnownHostsFile @known\n${common}`,
      host('hashed', sshd, 'UserKnownHostsFile @hashed'),
      host('rsa', sshd, 'UserKnownHostsFile @rsa-only'),
      host('aliased', sshd, 'UserKnownHostsFile @by-alias; HostKeyAlias the-alias'),
      host('without-port', sshd, 'UserKnownHostsFile @by-pattern'),
      host('several', sshd, 'UserKnownHostsFile @nowhere @rsa-only @known'),
      host('ciphers', sshd, 'UserKnownHostsFile @known; Ciphers aes256-ctr,chacha20-poly1305@openssh.com'),
      host('127.0.0.1', { port: 1 }, 'UserKnownHostsFile @known'),
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  for (const destination of ['included', 'matched', 'hashed', 'rsa', 'aliased', 'without-port', 'several', 'ciphers'])
    await works(t, network, destination)
  await works(t, network, `ssh://${me}@127.0.0.1:${sshd.port}`)
  await works(t, network, `${me}@included`)
})

const withIpv6 = await freePort('::1').then(
  () => withSshd,
  () => ({ skip: 'no IPv6 on this machine' }),
)
test('a host with an IPv6 address is like any other', withIpv6, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd({ address: '::1' })
  bench.know('known', `[::1]:${sshd.port}`, sshd.hostKey('ed25519'))
  const six = common.replace('HostName 127.0.0.1', '')
  const configFile = bench.config(
    [
      `Host six\n  HostName ::1\n  Port ${sshd.port}`,
      `Host behind\n  HostName ::1\n  Port ${sshd.port}\n  ProxyJump six`,
      `Host *\n  UserKnownHostsFile @known\n${six}`,
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  for (const destination of ['six', 'behind', `ssh://${me}@[::1]:${sshd.port}`]) await works(t, network, destination)
})

test('a hop is named as on the command line of ssh', async (t) => {
  t.same(hopArguments('bastion'), ['--', 'bastion'])
  t.same(hopArguments('me@bastion:2222'), ['-l', 'me', '-p', '2222', '--', 'bastion'])
  t.same(hopArguments('[fe80::1]:22'), ['-p', '22', '--', 'fe80::1'])
  t.same(hopArguments('fe80::1'), ['--', 'fe80::1'])
  t.same(hopArguments('ssh://me@bastion:22'), ['-l', 'me', '-p', '22', '--', 'bastion'])
  t.same(destinationArguments('ssh://me@[fe80::1]:22/'), hopArguments('me@[fe80::1]:22'))
  t.throws(() => hopArguments('-oProxyCommand=id'), Problem)
  const config = (typed: string) => parseHostConfig(destinationArguments(typed), '')
  t.match(config('me@dave'), { typed: 'me@dave', original: 'dave', hostName: 'dave', port: 22 })
  t.match(config('ssh://me@dave:2222'), { typed: '-l me -p 2222 dave', original: 'dave' })
})

test('a destination that ssh would take for an option is refused', async (t) => {
  for (const destination of ['-oProxyCommand=id', 'user@-oProxyCommand=id', 'ssh://-x', '', 'a b', 'a;id', '$(id)']) {
    const problem = await refused(t, sshNetwork().connect(login(destination)))
    t.equal(problem.kind, 'usage', destination)
  }
})

test('a host is let in only by a key that is known', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd({ hostKeys: ['ed25519', 'rsa'] })
  const name = `[127.0.0.1]:${sshd.port}`
  bench.key('other')
  bench.know('changed', name, bench.publicKey('other'))
  bench.key('other-rsa', { type: 'rsa' })
  bench.know('changed-rsa', name, bench.publicKey('other-rsa'))
  bench.key('other-ecdsa', { type: 'ecdsa' })
  bench.know('other-type', name, bench.publicKey('other-ecdsa'))
  bench.know('revoked', name, sshd.hostKey('ed25519'))
  bench.write('revoked', `# ours\n@revoked * ${sshd.hostKey('ed25519')}\n${readFileSync(bench.file('revoked'))}`)
  const configFile = bench.config(
    [
      host('changed', sshd, 'UserKnownHostsFile @changed'),
      host('changed-rsa', sshd, 'UserKnownHostsFile @changed-rsa'),
      host('careless', sshd, 'UserKnownHostsFile @changed; StrictHostKeyChecking no'),
      host('other-type', sshd, 'UserKnownHostsFile @other-type; StrictHostKeyChecking accept-new'),
      host('revoked', sshd, 'UserKnownHostsFile @revoked; StrictHostKeyChecking no'),
      host('unknown', sshd, 'UserKnownHostsFile @nothing'),
      host('strict', sshd, 'UserKnownHostsFile @nothing; StrictHostKeyChecking yes'),
      host('accepting', sshd, 'UserKnownHostsFile @new/known; StrictHostKeyChecking accept-new; HashKnownHosts yes'),
      host('unwritable', sshd, 'UserKnownHostsFile @changed/known; StrictHostKeyChecking accept-new'),
      host('off', sshd, 'UserKnownHostsFile @new-plain; StrictHostKeyChecking no; HashKnownHosts no'),
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  const print = (key: string) => fingerprint(Buffer.from(key.split(' ')[1] ?? '', 'base64'))

  for (const destination of ['changed', 'changed-rsa', 'careless', 'other-type']) {
    const problem = await refused(t, network.connect(login(destination)))
    t.match(problem.message, 'has changed', destination)
    t.equal(problem.kind, 'failed')
  }
  const changed = await refused(t, network.connect(login('changed')))
  t.match(changed.detail, `offered: ssh-ed25519 ${print(sshd.hostKey('ed25519'))}`)
  t.match(changed.detail, `known:   ssh-ed25519 ${print(bench.publicKey('other'))} in ${bench.file('changed')}:1`)
  t.match(changed.hints.join('\n'), `ssh-keygen -R '${name}' -f '${bench.file('changed')}'`)
  t.equal(changed.host, 'dave')

  const revoked = await refused(t, network.connect(login('revoked')))
  t.match(revoked.message, `is revoked in ${bench.file('revoked')}:2`)

  for (const destination of ['unknown', 'strict']) {
    const problem = await refused(t, network.connect(login(destination)))
    t.match(problem.message, 'is not known', destination)
    t.match(problem.hints.join('\n'), `ssh ${destination} true`)
  }
  t.throws(() => readFileSync(bench.file('nothing')), 'a refused key is not written down')

  const warnings: string[] = []
  await works(t, sshNetwork({ configFile, warn: (name, text) => warnings.push(`${name}: ${text}`) }), 'unwritable')
  t.equal(warnings.length, 1)
  const file = bench.file('changed/known')
  t.match(warnings[0], `dave: the host key of ${name} is accepted, and can't be written to ${file} (E`)

  await works(t, network, 'accepting')
  t.match(readFileSync(bench.file('new/known'), 'utf8'), /^\|1\|\S+\|\S+ ssh-ed25519 \S+\n$/)
  await works(t, network, 'accepting')
  t.equal(readFileSync(bench.file('new/known'), 'utf8').split('\n').length, 2, 'known now, and written once')
  await works(t, network, 'off')
  t.match(readFileSync(bench.file('new-plain'), 'utf8'), `${name} ssh-ed25519 `)
})

test('keys come from files and from the agent, in the order of the configuration', withSshd, async (t) => {
  const bench = new Bench(t)
  for (const name of ['id', 'wrong', 'in-agent']) bench.key(name)
  bench.key('rsa', { type: 'rsa' })
  bench.key('locked', { passphrase: 'secret words' })
  const sshd = await bench.sshd({ authorized: ['id', 'in-agent', 'rsa'] })
  const agentOnly = await bench.sshd({ authorized: ['in-agent', 'locked'] })
  for (const one of [sshd, agentOnly]) bench.know('known', `[127.0.0.1]:${one.port}`, one.hostKey('ed25519'))
  const agent = await bench.agent(['in-agent'])
  bench.write('public-only', '')
  bench.write('public-only.pub', bench.publicKey('in-agent'))
  const plain = (name: string, to: Sshd, lines: string) =>
    `Host ${name}\n  HostName 127.0.0.1\n  Port ${to.port}\n  UserKnownHostsFile @known\n  GlobalKnownHostsFile none\n  ${lines.replaceAll('; ', '\n  ')}\n`
  const configFile = bench.config(
    [
      plain('second-file', sshd, 'IdentityAgent none; IdentityFile @wrong; IdentityFile @id'),
      plain('rsa-file', sshd, 'IdentityAgent none; IdentityFile @rsa'),
      plain('agent', agentOnly, `IdentityAgent ${agent}; IdentityFile @wrong`),
      plain('agent-by-public-key', agentOnly, `IdentityAgent ${agent}; IdentityFile @public-only; IdentitiesOnly yes`),
      plain('only-wrong', agentOnly, `IdentityAgent ${agent}; IdentityFile @wrong; IdentitiesOnly yes`),
      plain('locked', agentOnly, 'IdentityAgent none; IdentityFile @locked; IdentityFile @wrong'),
      plain('no-agent-there', sshd, 'IdentityAgent @nowhere; IdentityFile @id'),
      plain('no-keys', sshd, 'IdentityAgent none; IdentityFile @id; PubkeyAuthentication no'),
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  for (const destination of ['second-file', 'rsa-file', 'agent', 'agent-by-public-key', 'no-agent-there'])
    await works(t, network, destination)

  const before = agentOnly.log().split('Failed publickey').length
  const wrong = await refused(t, network.connect(login('only-wrong')))
  t.equal(wrong.kind, 'unreachable')
  t.match(wrong.message, `did not let ${me} log in`)
  t.match(wrong.detail, `tried:   ${bench.file('wrong')}`)
  t.notMatch(wrong.detail, 'in-agent')
  t.equal(agentOnly.log().split('Failed publickey').length, before + 1, 'one key, offered once, and no second login')

  const locked = await refused(t, network.connect(login('locked')))
  t.match(locked.detail, `skipped: ${bench.file('locked')} (encrypted, and not in the agent)`)
  t.match(locked.hints.join('\n'), 'ssh-add')
  const none = await refused(t, network.connect(login('no-keys')))
  t.match(none.detail, 'tried:   no key')

  await bench.addToAgent(agent, 'locked', 'secret words')
  await works(t, network, 'agent')
})

test('other hosts and commands on the way are used as configured', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const [inner, middle, outer] = [await bench.sshd(), await bench.sshd(), await bench.sshd()]
  for (const one of [inner, middle, outer]) bench.know('known', `[127.0.0.1]:${one.port}`, one.hostKey('ed25519'))
  const known = 'UserKnownHostsFile @known'
  const forward = `${process.execPath} -e "const s=require('net').connect(%p,'%h');process.stdin.pipe(s).pipe(process.stdout)"`
  const configFile = bench.config(
    [
      host('outer', outer, known),
      host('middle', middle, `${known}; ProxyJump outer`),
      host('one-hop', inner, `${known}; ProxyJump outer`),
      host('nested', inner, `${known}; ProxyJump middle`),
      host('two-hops', inner, `${known}; ProxyJump ${me}@outer,ssh://127.0.0.1:${middle.port}`),
      host('by-command', inner, `${known}; ProxyCommand ${forward}`),
      host('hop-unknown', inner, `${known}; ProxyJump stranger`),
      host('stranger', outer, 'UserKnownHostsFile @nothing'),
      host('loop', inner, `${known}; ProxyJump loop-b`),
      host('loop-b', inner, `${known}; ProxyJump loop`),
      host('behind-closed', { port: 1 }, `${known}; ProxyJump outer`),
      host('bad-command', inner, `${known}; ProxyCommand sh -c 'echo no way for %r >&2'`),
      host('127.0.0.1', { port: 1 }, known),
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  await works(t, network, 'one-hop')
  t.match(outer.log(), `Accepted publickey for ${me}`)
  await works(t, network, 'nested')
  await works(t, network, 'two-hops')
  t.equal(middle.log().split('Accepted publickey').length, 3, 'both went through the middle')
  await works(t, network, 'by-command')

  t.match((await refused(t, network.connect(login('hop-unknown')))).message, 'is not known')
  t.match((await refused(t, network.connect(login('loop')))).message, 'more than 10 hops')
  const closed = await refused(t, network.connect(login('behind-closed')))
  t.match(closed.message, 'outer gave no way to 127.0.0.1:1')
  t.equal(closed.kind, 'unreachable')
  const bad = await refused(t, network.connect(login('bad-command')))
  t.match(bad.message, 'the ProxyCommand for bad-command gave no connection')
  t.match(bad.detail, `no way for ${me}`)
})

test('why a host is out of reach is said in words', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const configFile = bench.config(
    [
      host('closed', { port: 1 }),
      `Host nameless\n  HostName does-not-exist.invalid\n`,
      host('silent', { port: await bench.silentPort() }),
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  const closed = await refused(t, network.connect(login('closed')))
  t.match(closed, { kind: 'unreachable', message: '127.0.0.1:1 refused the connection', host: 'dave' })
  const nameless = await refused(t, network.connect(login('nameless')))
  t.match(nameless, { kind: 'unreachable', message: /does-not-exist\.invalid (was not found|could not be looked up)/ })
  const slow = await refused(t, network.connect({ ...login('silent'), timeoutMs: 300 }))
  t.match(slow, { kind: 'unreachable', message: /^no login to silent within 0\.3 s, waiting for the login at 127/ })
  const stop = new AbortController()
  const pending = network.connect(login('silent'), stop.signal)
  const reason = new Problem('stopped', { kind: 'interrupted' })
  stop.abort(reason)
  t.match(await refused(t, pending), { message: 'stopped', kind: 'interrupted' })
})

test('every connection is a login of its own, whatever the configuration shares', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd()
  const proxy = await proxyTo(t, sshd.port)
  bench.know('known', `[127.0.0.1]:${proxy.port}`, sshd.hostKey('ed25519'))
  bench.write('nobody', '')
  const shared = 'ControlMaster auto; ControlPath @shared; ControlPersist 60'
  const configFile = bench.config(
    [
      host('shared', proxy, `UserKnownHostsFile @known; ${shared}`),
      host('shared-openssh', proxy, `UserKnownHostsFile @known; RevokedHostKeys @nobody; ${shared}`),
    ].join('\n'),
  )
  const network = sshNetwork({ configFile })
  const [one, two] = [await connect(t, network, 'shared'), await connect(t, network, 'shared')]
  for (const machine of [one, two]) await machine.run({ argv: ['true'] })
  t.equal(proxy.connections, 2)
  const three = await connect(t, network, 'shared-openssh')
  const four = await connect(t, network, 'shared-openssh')
  for (const machine of [three, four]) await machine.run({ argv: ['true'] })
  t.equal(proxy.connections, 4)
  t.throws(() => readFileSync(bench.file('shared')), { code: 'ENOENT' }, 'no shared connection was set up')
})

test('what ssh2 cannot do is done by the ssh program of the system', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  bench.key('ca')
  bench.key('certified')
  execFileSync('ssh-keygen', ['-q', '-s', bench.file('ca'), '-I', 'me', '-n', me, bench.file('certified.pub')])
  const modern = await bench.sshd({ lines: 'KexAlgorithms sntrup761x25519-sha512@openssh.com' })
  const certified = await bench.sshd({ lines: `TrustedUserCAKeys ${bench.file('ca.pub')}` })
  const hosted = await bench.sshd()
  const hostKey = bench.write('hosted-key.pub', hosted.hostKey('ed25519'))
  execFileSync('ssh-keygen', ['-q', '-s', bench.file('ca'), '-I', 'host', '-h', '-n', '127.0.0.1', hostKey])
  const byAuthority = await bench.sshd({
    lines: `HostKey ${hosted.hostKeyFile('ed25519')}\nHostCertificate ${bench.file('hosted-key-cert.pub')}`,
    hostKeys: [],
  })
  for (const one of [modern, certified]) bench.know('known', `[127.0.0.1]:${one.port}`, one.hostKey('ed25519'))
  bench.key('other')
  bench.know('changed', `[127.0.0.1]:${modern.port}`, bench.publicKey('other'))
  bench.know('hop-changed', `[127.0.0.1]:${certified.port}`, bench.publicKey('other'))
  bench.write('nobody', '')
  bench.know('by-authority', '@cert-authority *', bench.publicKey('ca'))
  const configFile = bench.config(
    [
      host('modern', modern, 'UserKnownHostsFile @known'),
      host('modern-changed', modern, 'UserKnownHostsFile @changed; StrictHostKeyChecking no'),
      host('modern-unknown', modern, 'UserKnownHostsFile @nothing'),
      host('hop', certified, 'UserKnownHostsFile @known'),
      host('careless-hop', certified, 'UserKnownHostsFile @hop-changed; StrictHostKeyChecking no'),
      host('behind-careless', modern, 'UserKnownHostsFile @known; ProxyJump careless-hop; RevokedHostKeys @nobody'),
      host('new-hop', certified, 'UserKnownHostsFile @hop-new; StrictHostKeyChecking no'),
      host('behind-new', modern, 'UserKnownHostsFile @known; ProxyJump new-hop; RevokedHostKeys @nobody'),
      host('modern-behind', modern, 'UserKnownHostsFile @known; ProxyJump hop'),
      host('certified', certified, 'UserKnownHostsFile @known').replace('@id', '@certified'),
      host('by-authority', byAuthority, 'UserKnownHostsFile @by-authority'),
    ].join('\n'),
  )
  const reasons: string[] = []
  const network = sshNetwork({ configFile, trace: (_name, line) => reasons.push(line) })
  for (const destination of ['modern', 'modern-behind', 'certified', 'by-authority'])
    await works(t, network, destination)
  t.match(reasons[0], 'no matching key exchange algorithm')
  t.match(reasons[2], 'the certificate')
  t.match(reasons[3], 'certificate authority')

  await works(t, network, 'behind-new')
  for (const destination of ['modern-changed', 'modern-unknown', 'behind-careless']) {
    const problem = await refused(t, network.connect(login(destination)))
    t.equal(problem.message, `ssh could not log in to 127.0.0.1:${modern.port}`)
    t.match(problem.detail, 'Host key verification failed')
  }

  const machine = await connect(t, network, 'modern')
  const done = await machine.run({ argv: ['sh', '-c', 'cat; echo oops >&2; exit 255'] }, { input: 'as given' })
  t.same(done, { code: 255, signal: null, lost: false, stdout: 'as given', stderr: 'oops\n' })
  const channel = await machine.open({ argv: ['sh', '-c', 'echo started; sleep 60'] })
  await new Promise((resolve) => channel.stdout.once('data', resolve))
  await machine.close()
  t.match(await channel.exit, { code: null, lost: true })
  await t.rejects(machine.run({ argv: ['true'] }), { kind: 'unreachable', message: 'the connection to dave was lost' })
})

test('variables of the configuration are sent, but not the language of this machine', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd({ lines: 'AcceptEnv LANG LC_*' })
  bench.know('known', `[127.0.0.1]:${sshd.port}`, sshd.hostKey('ed25519'))
  const send = 'SetEnv NIXBUILDNET_TOKEN="a b"; SendEnv LANG LC_* DEPLOY_TEST_*'
  const configFile = bench.config(
    [
      host('plain', sshd, `UserKnownHostsFile @known; ${send}`),
      host('openssh', sshd, `UserKnownHostsFile @known; KexAlgorithms sntrup761x25519-sha512@openssh.com; ${send}`),
    ].join('\n'),
  )
  process.env['DEPLOY_TEST_ONE'] = '1'
  process.env['LC_TEST'] = 'xx'
  t.teardown(() => {
    delete process.env['DEPLOY_TEST_ONE']
    delete process.env['LC_TEST']
  })
  const network = sshNetwork({ configFile })
  for (const destination of ['plain', 'openssh']) {
    const machine = await connect(t, network, destination)
    const { stdout } = await machine.run({ argv: ['env'] })
    t.match(stdout, 'NIXBUILDNET_TOKEN=a b\n', destination)
    t.match(stdout, 'DEPLOY_TEST_ONE=1\n', destination)
    t.notMatch(stdout, 'LC_TEST', destination)
  }
})

const plainAndOpenssh = (sshd: { port: number }, more = '') => [
  host('plain', sshd, `UserKnownHostsFile @nothing; ${more}`),
  host('openssh', sshd, `UserKnownHostsFile @nothing; KnownHostsCommand /bin/true; ${more}`),
]

test('a pinned host key counts alone, whatever the files say', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  bench.key('other')
  const sshd = await bench.sshd({ hostKeys: ['rsa', 'ed25519'] })
  bench.know('known', `[127.0.0.1]:${sshd.port}`, bench.publicKey('other'))
  const known = plainAndOpenssh(sshd).join('\n').replaceAll('@nothing', '@known')
  const configFile = bench.config(`${known}\n  NoHostAuthenticationForLocalhost yes\n  VerifyHostKeyDNS yes\n`)
  const network = sshNetwork({ configFile })
  const print = (key: string) => fingerprint(Buffer.from(key.split(' ')[1] ?? '', 'base64'))
  const pin = (key: string) => ({ key: key.split(' ').slice(0, 2).join(' '), from: 'the documentation' })
  for (const destination of ['plain', 'openssh']) {
    const pinned = { ...login(destination), hostKey: pin(sshd.hostKey('ed25519')) }
    const machine = await network.connect(pinned)
    t.equal((await machine.run({ argv: ['id', '-un'] })).stdout, `${me}\n`, destination)
    await machine.close()
    const wrong = { ...login(destination), hostKey: pin(bench.publicKey('other')) }
    const problem = await refused(t, network.connect(wrong))
    t.equal(problem.message, '127.0.0.1 has another host key than the pinned one; somebody may be in between')
    t.match(
      problem.detail,
      `offered: ${destination === 'plain' ? 'ssh-ed25519 ' : ''}${print(sshd.hostKey('ed25519'))}`,
    )
    t.equal(problem instanceof NotLetIn, false, 'nobody has seen our keys')
  }
  const hop = await bench.sshd()
  bench.know('known-hop', `[127.0.0.1]:${hop.port}`, bench.publicKey('other'))
  const behind = [
    host('hop', hop, 'UserKnownHostsFile @known-hop'),
    ...plainAndOpenssh(sshd, 'ProxyJump hop').map((one) => one.replaceAll('@nothing', '@known')),
  ]
  const byHop = sshNetwork({ configFile: bench.config(behind.join('\n')) })
  for (const destination of ['plain', 'openssh']) {
    const { message, detail } = await refused(
      t,
      byHop.connect({ ...login(destination), hostKey: pin(sshd.hostKey('ed25519')) }),
    )
    t.notMatch(message, 'pinned', 'it is the key of the host on the way that is wrong')
    t.match(`${message}\n${detail}`, new RegExp(`\\[127.0.0.1\\]:${hop.port}.* has changed`))
  }
  const wrong = await refused(t, network.connect({ ...login('plain'), hostKey: pin(bench.publicKey('other')) }))
  t.equal(
    wrong.detail,
    [
      `offered: ssh-ed25519 ${print(sshd.hostKey('ed25519'))}`,
      `pinned:  ssh-ed25519 ${print(bench.publicKey('other'))} (the documentation)`,
    ].join('\n'),
  )
})

test('a login may have a key and variables of its own, and their values are in no argument', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  bench.key('own "key" 100%')
  const sshd = await bench.sshd({ authorized: ['own "key" 100%'] })
  const configFile = bench.config(plainAndOpenssh(sshd).join('\n'))
  const network = sshNetwork({ configFile })
  const [type, key] = sshd.hostKey('ed25519').split(' ')
  const secret = 'a "secret" $HOME'
  for (const destination of ['plain', 'openssh']) {
    const pinned = { ...login(destination), hostKey: { key: `${type} ${key}`, from: 'here' } }
    const unknown = await refused(t, network.connect(pinned))
    t.ok(unknown instanceof NotLetIn, `${destination}: ${unknown.message}`)
    t.equal(unknown.kind, 'unreachable')
    const machine = await network.connect({
      ...pinned,
      options: { IdentityFile: bench.file('own "key" 100%%') },
      environment: { DEPLOY_SECRET: secret },
    })
    t.teardown(() => machine.close())
    const channel = await machine.open({ argv: ['sh', '-c', 'printf %s "$DEPLOY_SECRET"; echo; read end'] })
    t.equal(await new Lines(channel.stdout).next(), secret, destination)
    const all = execFileSync('ps', ['-ww', '-eo', 'args']).toString()
    t.match(all, 'read end', 'arguments of what runs now')
    t.notMatch(all, secret)
    channel.close()
  }
})

test('a login without any key is one of a kind: let in or not', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd()
  const [type, key] = sshd.hostKey('ed25519').split(' ')
  const network = sshNetwork({ configFile: bench.config(plainAndOpenssh(sshd).join('\n')) })
  for (const destination of ['plain', 'openssh']) {
    const hostKey = { key: `${type} ${key}`, from: 'here' }
    const options = { PreferredAuthentications: 'none', PubkeyAuthentication: 'no' }
    const problem = await refused(t, network.connect({ ...login(destination), hostKey, options }))
    t.ok(problem instanceof NotLetIn, `${destination}: ${problem.message}`)
  }
})

test('keys of a type that the configuration leaves out are not offered', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id', { type: 'rsa' })
  const sshd = await bench.sshd()
  const [type, key] = sshd.hostKey('ed25519').split(' ')
  const network = sshNetwork({ configFile: bench.config(plainAndOpenssh(sshd).join('\n')) })
  const pinned = { ...login('plain'), hostKey: { key: `${type} ${key}`, from: 'here' } }
  const rsa = await network.connect(pinned)
  await rsa.close()
  const only = { ...pinned, options: { PubkeyAcceptedKeyTypes: 'ssh-ed25519' } }
  const problem = await refused(t, network.connect(only))
  t.match(problem.detail, 'tried:   no key')
  t.match(problem.detail, `${bench.file('id')} (ssh-rsa, which PubkeyAcceptedAlgorithms leaves out)`)
})
