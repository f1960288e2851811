/** Builders without a shell: the stand-in for nixbuild.net (test/lab/stand-in), and the control machine's own Nix. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { seen } from './eventually.ts'
import { type Facts, type Stage, sameAsBefore, setStage, type Told } from './stage.ts'

let stage: Stage
/** The builder at the stand-in. */
let store: Record<string, unknown>

before(async () => {
  const activation = { timeout: '60s', confirmWithin: '40s', settle: '0s' }
  stage = await setStage({ others: ['standin'], defaults: { builder: 'nixbuild', activation } })
  const hostKey = lab.publicKey(lab.hostKey('standin')).split(' ').slice(0, 2).join(' ')
  store = { store: 'ssh-ng://eu.nixbuild.net', evaluateOn: 'forge', hostKey }
})

/** What the stand-in was asked for since it was last asked this. */
async function connections(): Promise<Record<string, unknown>[]> {
  const file = '/var/lib/nixbuild-stand-in/connections'
  const text = await stage.inside('standin', `[ ! -e ${file} ] || { cat ${file}; rm ${file}; }`)
  const lines = text.split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Sets dave's builder: the stand-in, with these fields in addition, or another one. */
async function buildWith(fields: Record<string, unknown> | 'local'): Promise<void> {
  const builders = { forge: { ssh: 'forge' } }
  const isLocal = fields === 'local'
  stage.inventory.builders = isLocal ? builders : { ...builders, nixbuild: { ...store, ...fields } }
  stage.inventory.defaults.builder = isLocal ? 'local' : 'nixbuild'
  await stage.writeInventory()
}

const has = async (machine: string, path = '') =>
  (await lab.inside(machine, ['nix-store', '--check-validity', path])).code === 0

/** `12 of 120 paths, 0.1 MB`, as it is told; undefined when nothing was sent. */
function sent({ stderr }: Told) {
  const [, paths, of] = /derivations and sources sent to nixbuild: (\d+) of (\d+) paths/.exec(stderr) ?? []
  return paths === undefined ? undefined : { paths: Number(paths), of: Number(of) }
}

function isPermanent(t: Test, facts: Facts, toplevel: string | undefined) {
  const { running, profile, boot, leftBehind } = facts
  const everywhere = { running: toplevel, profile: toplevel, boot: toplevel, leftBehind: [] }
  t.same({ running, profile, boot, leftBehind }, everywhere)
}

/** Dave is not touched, for a reason in these words. */
async function refused(t: Test, ...words: readonly string[]) {
  const was = await stage.facts('dave')
  const { code, outcome } = await stage.deployHost('dave')
  t.match({ code, kind: outcome.kind }, { code: 1, kind: 'untouched' })
  const told = [outcome.reason, outcome.detail, ...outcome.hints].join('\n')
  for (const word of words) t.match(told, word)
  sameAsBefore(t, was, await stage.facts('dave'))
}

/** As its user on the control machine, to the stand-in: with `ssh`'s options, as a user, a command. */
const knock = (options: string, user: string, command: string) => {
  const known = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes'
  return lab.ssh('control', `ssh ${known} ${options} ${user}@eu.nixbuild.net ${command}`)
}

test('the stand-in does what is documented of the service: the key counts, whatever the user is called', async (t) => {
  for (const user of ['ops', 'root', 'some.body']) {
    t.match(await knock('', user, 'api ssh-keys'), { code: 0, stdout: '"comment":"control@lab"' })
  }
  t.match(await knock('-p 2223', 'ops', 'api ssh-keys'), { code: 0 })
  t.match(await knock('', 'ops', 'id'), { code: 1, stdout: '', stderr: 'this command is not supported' })
  t.match(await knock('-tt', 'ops', 'shell'), { stderr: 'PTY allocation request failed' })
  await stage.onControl(
    'rm -f other*; ssh-keygen -q -t ed25519 -N "" -C "" -f other-key; ssh-keygen -q -t rsa -N "" -f other-rsa',
  )
  const other = '-i other-key -o IdentitiesOnly=yes'
  const denied = { code: 255, stderr: 'Permission denied (publickey)' }
  t.match(await knock(other, 'ops', 'api ssh-keys'), denied)
  const key = (await stage.onControl('cat other-key.pub')).trim()
  t.match(await knock('', 'ops', `api ssh-keys add ${key} laptop`), { code: 0 })
  t.match(await knock('', 'ops', `api ssh-keys add ${key} laptop`), { code: 1, stderr: 'registered already' })
  const rsa = (await stage.onControl('cat other-rsa.pub')).trim()
  t.match(await knock('', 'ops', `api ssh-keys add ${rsa}`), { code: 1, stderr: 'only ssh-ed25519 keys' })
  t.match(await knock(other, 'ops', 'api ssh-keys'), { code: 0, stdout: '"comment":"laptop"' })
  t.match(await knock('', 'ops', `api ssh-keys remove ${key}`), { code: 0 })
  t.match(await knock(other, 'ops', 'api ssh-keys'), denied)
  const signing = '"keyName":"nixbuild.net/STANDIN-1"'
  t.match(await knock('', 'ops', 'api settings signing-key-for-builds --show'), { code: 0, stdout: signing })
})

test('forge evaluates, the store builds, and only what it lacks is sent to it', async (t) => {
  await buildWith({ settings: { 'max-cpu': 2 }, tags: { host: 'dave' } })
  await stage.configure('dave', { motd: 'built by a store' })
  await connections()
  const first = await stage.deployHost('dave')
  t.match(first, { code: 0, outcome: { kind: 'deployed' } })
  const { toplevel } = first.outcome
  isPermanent(t, await stage.facts('dave'), toplevel)
  t.same([await has('standin', toplevel), await has('forge', toplevel)], [true, false], 'it was built there alone')
  const signatures = await stage.inside('dave', `nix path-info --sigs ${toplevel}`)
  t.match(signatures, 'nixbuild.net/STANDIN-1:', "with the account's signature")
  const asked = await connections()
  const others = asked.filter(({ command, client }) => {
    return command !== 'nix-daemon --stdio' || client !== lab.address('control')
  })
  t.same(others, [], 'only the control machine speaks to it, and only to its daemon')
  t.match(asked[0], { settings: { NIXBUILDNET_MAX_CPU: '2', NIXBUILDNET_TAG_HOST: 'dave' } })

  const all = sent(first)
  t.ok(all && all.paths === all.of && all.of > 20, `everything at first: ${JSON.stringify(all)}`)
  await stage.configure('dave', { motd: 'built by a store once more' })
  const before = await lab.linkBytes('standin')
  const second = await stage.deployHost('dave')
  const bytes = (await lab.linkBytes('standin')).toMachine - before.toMachine
  t.match(second, { code: 0, outcome: { kind: 'deployed' } })
  const few = sent(second)
  t.ok(few && all && few.paths > 0 && few.paths < 10 && few.of < all.of, `for a change: ${JSON.stringify(few)}`)
  t.ok(bytes < 100_000, `${bytes} bytes went to it, on the wire`)

  const third = await stage.deployHost('dave')
  t.match(third, { code: 0, outcome: { kind: 'unchanged' } })
  t.equal(sent(third), undefined, 'for nothing new, nothing')
  t.match(await stage.deploy('doctor', '--builders', '-v', '--plain'), {
    code: 0,
    stdout: /builder nixbuild .*ready\n(?:.*\n)*.*Nix \S+ answers/,
  })
})

test('the port is part of the address', async (t) => {
  await connections()
  await buildWith({ store: 'ssh-ng://eu.nixbuild.net:2223' })
  await stage.configure('dave', { motd: 'by the other port' })
  const { code, outcome } = await stage.deployHost('dave')
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed' } })
  t.same([...new Set((await connections()).map(({ port }) => port))], ['2223'])
  await buildWith({})
})

test('what the store would build can be asked, and a build that fails there shows its log', async (t) => {
  await stage.configure('dave', { motd: 'planned' })
  const plan = JSON.parse((await stage.deploy('plan', 'dave')).stdout) as unknown
  t.match(JSON.stringify(plan), /"toBuild":\[[^\]]*-nixos-system-dave-/)
  await stage.configure('dave', { brokenBuild: 'the last words' })
  await refused(
    t,
    'the last words',
    'nixbuild.net keeps the whole log of',
    'ssh eu.nixbuild.net shell, then help builds',
  )
})

test('a build of a store that takes too long is called off, like one that nobody waits for any more', async (t) => {
  const sleeps = () => lab.hostProcesses('standin').some(({ argv }) => argv.join(' ') === 'sleep 601')
  await stage.configure('dave', { buildSeconds: 601 })
  const was = await stage.facts('dave')
  const slow = await stage.deployHost('dave', '--option', 'timeout', '5')
  t.match(slow, { code: 1, outcome: { kind: 'untouched', detail: 'timed out after 5 seconds' } })
  t.match(slow.outcome.hints.join('\n'), /nixbuild\.net keeps the whole log of.*\n.*the limit is `timeout` of --option/)
  await seen('the build ends', () => !sleeps())

  const run = stage.start('dave')
  await seen('it is built', sleeps)
  await run.signal('INT')
  t.match(await run.finished, { code: 130 })
  await seen('the build ends', () => !sleeps())
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('a store that goes away in the middle of a build is asked once more, and then it is said', async (t) => {
  await buildWith({})
  const daemons = () =>
    lab.hostProcesses('standin').filter(({ argv }) => argv.join(' ').startsWith('nix-daemon --stdio'))
  const sleeps = () => lab.hostProcesses('standin').some(({ argv }) => argv.join(' ') === 'sleep 602')
  await stage.configure('dave', { buildSeconds: 602 })
  const was = await stage.facts('dave')
  const run = stage.start('dave')
  for (const turn of ['first', 'second']) {
    await seen(`the ${turn} build`, sleeps)
    t.ok(daemons().length > 0)
    await stage.inside('standin', 'pkill -KILL -f "^nix-daemon --stdio"')
    await seen(`the ${turn} build ends`, () => !sleeps())
  }
  const told = await run.finished
  t.match(told, { code: 1, stderr: /went away in the middle of the build: going on there once more/ })
  t.match(told.outcomes['dave'], { kind: 'untouched', reason: 'nixbuild went away in the middle of the build, twice' })
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('the published host key is pinned, and another one is refused', async (t) => {
  await buildWith({ hostKey: undefined })
  await connections()
  const pinned = 'pinned:  ssh-ed25519 SHA256:EgDuMV3L8raDZb6Csd9T4l4NRuh2rVNLbPz+63rcvAo'
  await refused(t, 'eu.nixbuild.net has another host key than the pinned one', pinned)
  t.same(await connections(), [], 'nobody logged in')
})

test('a key that no account has: what is missing and how to get it, in two lines', async (t) => {
  await stage.onControl('rm -f stranger*; ssh-keygen -q -t ed25519 -N "" -f stranger')
  await buildWith({ identityFile: '/home/ops/stranger' })
  const { stdout, stderr } = await stage.deploy('build', 'dave', '--plain')
  const told = stdout + stderr
  const hints = told.split('\n').filter((line) => /https:\/\/nixbuild\.net|ssh-keys add/.test(line))
  t.match(told, 'nixbuild.net knows none of the keys that were offered')
  t.match(told, 'tried:   /home/ops/stranger\n')
  t.equal(hints.length, 2, hints.join('\n'))
  const doctor = await stage.deploy('doctor', '--builders', '--plain')
  t.match(doctor, { code: 4, stdout: 'nixbuild.net knows none of the keys that were offered' })
})

/** Whether a text is in an argument of any process of a machine, asked again and again until `stop`. */
function watchArguments(machines: readonly string[], text: string) {
  const found = new Set<string>()
  const look = () => {
    for (const machine of machines) {
      for (const { argv } of lab.hostProcesses(machine)) if (argv.join(' ').includes(text)) found.add(machine)
    }
  }
  const timer = setInterval(look, 10)
  timer.unref()
  return {
    stop() {
      clearInterval(timer)
      return [...found]
    },
  }
}

test('a token in place of a key: from a file or a variable, and nowhere else to be found', async (t) => {
  const { stdout } = await knock('', 'ops', 'api tokens create')
  await stage.onControl('cat > token; chmod 644 token', (JSON.parse(stdout) as { token: string }).token)
  const token = (await stage.onControl('cat token')).trim()
  t.match(token, /^[0-9a-f]{64}$/)
  await buildWith({ token: { file: '/home/ops/token' } })
  await stage.configure('dave', { motd: 'by token' })
  await refused(t, '/home/ops/token has a token, and others may read it')

  await stage.onControl('chmod 600 token')
  const machines = ['control', 'forge', 'standin', 'dave']
  await connections()
  const watch = watchArguments(machines, token)
  const byFile = await stage.deployHost('dave')
  t.match(byFile, { code: 0, outcome: { kind: 'deployed' } })
  t.same(watch.stop(), [], 'no process had it as an argument')
  t.match(await connections(), [{ user: 'authtoken', key: 'none', command: 'nix-daemon --stdio' }])

  // Where a token would be seen, one is: the search finds what is there.
  const control = watchArguments(machines, token)
  await stage.onControl(`exec sh -c 'sleep 0.3; exit 0' ${token}`)
  t.same(control.stop(), ['control'])
  const logged = async () => {
    const places = '/var/log /var/lib/deploy /run/deploy /var/lib/nixbuild-stand-in /home/ops/infra /home/builder /tmp'
    const search = `{ journalctl --quiet --no-pager; grep -raF -e ${token} ${places} 2> /dev/null; } | grep -cF ${token}`
    const counts = await Promise.all(machines.map((name) => lab.inside(name, search)))
    return counts.map(({ stdout }) => Number(stdout))
  }
  t.same(await logged(), [0, 0, 0, 0], 'nor is it in a log')
  t.notMatch(byFile.stdout + byFile.stderr, token)
  await stage.inside('control', `echo ${token} > /var/log/token`)
  t.same(await logged(), [1, 0, 0, 0])
  await stage.inside('control', 'rm /var/log/token')

  // sshd's shells read it; arguments of a script would be seen.
  await stage.onControl('cat - .bashrc > new && mv new .bashrc', 'export NIXBUILDNET_TOKEN=$(cat ~/token)\n')
  await buildWith({ token: { env: 'NIXBUILDNET_TOKEN' } })
  await stage.configure('dave', { motd: 'by a variable' })
  // OpenSSH's own client does this one: ssh2 knows no such command.
  await stage.onControl("printf '%s\\n' 'Host eu.nixbuild.net' '  KnownHostsCommand /bin/true' >> .ssh/config")
  const again = watchArguments(machines, token)
  const byVariable = await stage.deploy('build', 'dave')
  t.match(byVariable, { code: 0, stderr: "using OpenSSH's client: knownhostscommand" })
  t.same(again.stop(), [])

  await stage.onControl('echo 0000 > token')
  await refused(t, 'the auth token is not valid', 'tokens create -p store:read')
  await stage.onControl('sed -i 1d .bashrc')
  await refused(t, 'the environment variable NIXBUILDNET_TOKEN, which has the token, is not set')
})

test('reached as a store the service builds what a cache has; by the build hook of forge, that is fetched', async (t) => {
  const cache = 'file:///var/cache/binary'
  await stage.inside('forge', 'nix-store --generate-binary-cache-key cache /var/cache/key /var/cache/key.pub')
  const signedBy = (machine: string, path: string) =>
    stage.inside(machine, `nix --extra-experimental-features nix-command path-info --sigs ${path}`)
  /** A system, all of which is in the cache of forge and no longer in its store: the path of one package. */
  const cached = async (version: string) => {
    stage.inventory.builders = { forge: { ssh: 'forge' } }
    stage.inventory.defaults.builder = 'forge'
    await stage.writeInventory()
    await stage.configure('dave', { packages: { count: 1, size: 1000, version } })
    const { stdout } = await stage.deploy('build', 'dave', '--plain')
    const [toplevel = ''] = /\/nix\/store\/\S+/.exec(stdout) ?? []
    await stage.inside(
      'forge',
      `nix --extra-experimental-features nix-command copy --to '${cache}?secret-key=/var/cache/key' ${toplevel}`,
    )
    const path = await stage.inside('forge', `nix-store -qR ${toplevel} | grep -- -filler-1-${version}`)
    await stage.inside('forge', 'nix-collect-garbage -d')
    t.equal(await has('forge', path.trim()), false)
    await stage.configure('dave', { packages: { count: 1, size: 1000, version }, motd: `another one: ${version}` })
    return path.trim()
  }
  const hookWith = async (fields: Record<string, unknown>) => {
    await buildWith({ buildHook: true })
    stage.inventory.builders['forge'] = { ssh: 'forge', ...fields }
    await stage.writeInventory()
  }
  // To look after root's login there, its user has to become root.
  await stage.inside('forge', "echo 'builder ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/builder")
  const publicKey = (await stage.inside('forge', 'cat /var/cache/key.pub')).trim()
  const withCache = ['--option', 'substituters', cache, '--option', 'trusted-public-keys', publicKey]

  const first = await cached('store')
  await buildWith({})
  t.match(await stage.deployHost('dave', ...withCache), { code: 0, outcome: { kind: 'deployed' } })
  t.match(await signedBy('standin', first), 'nixbuild.net/STANDIN-1:', 'built once more')

  const second = await cached('hook')
  await hookWith({})
  const keyless = await stage.deployHost('dave', ...withCache)
  t.match(keyless, { code: 1, outcome: { kind: 'untouched' } }, 'root has no key')
  t.match(
    keyless.outcome.detail,
    /^cannot build on 'ssh:\/\/eu\.nixbuild\.net': error: .*Permission denied \(publickey\)/,
  )
  t.match(keyless.outcome.hints.join('\n'), 'nixbuildKeys: [root] of forge')
  await hookWith({ nixbuildKeys: ['root'] })
  const missing = await stage.deployHost('dave', ...withCache)
  t.match(missing.outcome.hints.join('\n'), '`deploy keys install forge` mends it')
  t.match(await stage.deploy('doctor', '--builders', '--plain'), {
    code: 0,
    stdout: /nixbuild\.net key of root: there is no key.*\n.*deploy keys install forge/,
  })
  t.match(await stage.deploy('keys', 'install', '--all', '--plain'), {
    code: 0,
    stdout: /forge.*root: key registered/s,
  })
  t.match(await stage.deploy('keys', 'verify', 'forge', '--plain'), { code: 0 })
  await connections()
  const { code, outcome } = await stage.deployHost('dave', ...withCache)
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed' } })
  isPermanent(t, await stage.facts('dave'), outcome.toplevel)
  t.match(await signedBy('standin', outcome.toplevel ?? ''), 'nixbuild.net/STANDIN-1:', 'the system was built there')
  t.notMatch(await signedBy('standin', second), 'STANDIN-1', 'and what the cache had was not')
  t.same(
    [...new Set((await connections()).map(({ client, command }) => `${client} ${command}`))],
    [`${lab.address('forge')} nix-store --serve --write`],
    'forge alone speaks to it, as its build hook does',
  )

  // The same with a token, which is gone after a boot of forge.
  t.match(await stage.deploy('keys', 'revoke', 'forge', '--plain'), { code: 0 })
  const { stdout: created } = await knock('', 'ops', 'api tokens create')
  const { token } = JSON.parse(created) as { token: string }
  const own = await stage.onControl('cat .bashrc')
  // sshd's shells read it; arguments of a script would be seen.
  await stage.onControl('cat > .bashrc', `export NIXBUILDNET_TOKEN=${token}\n${own}`)
  await hookWith({ auth: 'token' })
  const watch = watchArguments(['control', 'forge', 'standin'], token)
  const brought = await stage.deploy('keys', 'install', 'forge', '--plain')
  t.match(brought, { code: 0, stdout: /root: the token is in \/run\/deploy-keys\/token, until the next boot/ })
  t.equal(
    await stage.inside('forge', 'stat -c "%U %a" /run/deploy-keys /run/deploy-keys/token'),
    'root 700\nroot 600\n',
  )
  await stage.configure('dave', { motd: 'by a token of forge' })
  await connections()
  t.match(await stage.deployHost('dave', ...withCache), { code: 0, outcome: { kind: 'deployed' } })
  t.match(await connections(), [{ user: 'authtoken', key: 'none', client: lab.address('forge') }])
  t.same(watch.stop(), [], 'no process had it as an argument')
  t.notMatch(brought.stdout + brought.stderr, token)
  await stage.onControl('cat > .bashrc', own)

  t.match(await stage.deploy('doctor', '--builders', '-v', '--plain'), {
    code: 0,
    stdout: /has it built there, by root's login/,
  })
  await stage.inside('forge', 'sed -i "s/^trusted-users.*/trusted-users = root/" /etc/nix/nix.conf')
  await stage.inside('forge', 'systemctl stop nix-daemon.service')
  await stage.configure('dave', { motd: 'for nobody who is not trusted' })
  await refused(t, 'does not trust', 'trusted-users = [')
  t.match(await stage.deploy('doctor', '--builders', '--plain'), {
    code: 1,
    stdout: /does not trust .*\n.*trusted-users/,
  })
})

test('of several builders, one that is down is left out', async (t) => {
  stage.inventory.builders = { gone: { ssh: 'nobody.lab' }, forge: { ssh: 'forge' } }
  Object.assign(stage.inventory.defaults, { builder: ['gone', 'forge'] })
  await stage.writeInventory()
  await stage.configure('dave', { motd: 'built by the one that is there' })
  const told = await stage.deploy('build', 'dave', '--plain')
  t.match(told, { code: 0, stderr: /warning: .*builder gone is left out: the name nobody\.lab/ })
  const [toplevel] = /\/nix\/store\/\S+/.exec(told.stdout) ?? []
  t.equal(await has('forge', toplevel), true)
})

test("the control machine's own Nix: told when there is none, and evaluates and builds when there is", async (t) => {
  await buildWith('local')
  await stage.configure('dave', { motd: 'built here' })
  await refused(t, 'this machine has no nix command')
  await lab.putNixOnControl()
  const { code, outcome } = await stage.deployHost('dave')
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed' } })
  isPermanent(t, await stage.facts('dave'), outcome.toplevel)
  const here = `nix-store --check-validity ${outcome.toplevel}`
  t.equal(await stage.onControl(`${here} && echo here`), 'here\n')
  t.same([await has('forge', outcome.toplevel), await has('standin', outcome.toplevel)], [false, false])

  // Any machine with a Nix daemon is a store: here for a key that may do nothing else.
  await stage.onControl('rm -f only-nix*; ssh-keygen -q -t ed25519 -N "" -f only-nix')
  const restricted = `restrict,command="nix-daemon --stdio" ${await stage.onControl('cat only-nix.pub')}`
  await stage.inside('forge', `printf '%s' '${restricted}' >> /home/builder/.ssh/authorized_keys`)
  stage.inventory.builders = {
    plain: { store: 'ssh-ng://builder@forge.lab', evaluateOn: 'local', identityFile: '/home/ops/only-nix' },
  }
  stage.inventory.defaults.builder = 'plain'
  await stage.writeInventory()
  await stage.configure('dave', { motd: 'evaluated here, built there' })
  const mixed = await stage.deployHost('dave')
  t.match(mixed, { code: 0, outcome: { kind: 'deployed' } })
  isPermanent(t, await stage.facts('dave'), mixed.outcome.toplevel)
  t.equal(await has('forge', mixed.outcome.toplevel), true)
  const before = `nix-store --check-validity ${mixed.outcome.toplevel} 2> /dev/null || echo not here`
  t.equal(await stage.onControl(before), 'not here\n')
})
