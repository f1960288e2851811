/** The keys of a host's accounts at nixbuild.net, against the stand-in (test/lab/stand-in) and real build hooks. */
import { spawn } from 'node:child_process'
import { before, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { type Stage, setStage } from './stage.ts'

let stage: Stage
const account = '/var/lib/nixbuild-stand-in'
const home = { root: '/root', my_username: '/home/my_username' }
type Account = keyof typeof home
const fileOf = (who: Account) => `${home[who]}/.ssh/nixbuild`

before(async () => {
  stage = await setStage({ others: ['standin'] })
  await describe({})
})

/** Of the builder at the stand-in, in addition; and whose keys dave has. */
async function describe(fields: Record<string, unknown>, nixbuildKeys: readonly Account[] = ['root', 'my_username']) {
  const hostKey = lab.publicKey(lab.hostKey('standin')).split(' ').slice(0, 2).join(' ')
  stage.inventory.builders['nixbuild'] = { store: 'ssh-ng://eu.nixbuild.net', evaluateOn: 'forge', hostKey, ...fields }
  await stage.describeHost('dave', { nixbuildKeys })
}

interface Key {
  readonly account: Account
  readonly form: string
  readonly public: string | null
  readonly acceptance: string
  readonly findings: readonly { readonly code: string; readonly mend: string }[]
}

/** Everything that was told so far: no secret may be in it. */
let told = ''

/** `deploy keys …` for dave: its exit code and the answer. */
async function keys(...words: readonly string[]) {
  const { code, stdout, stderr } = await stage.deploy('keys', ...words, 'dave')
  told += stdout + stderr
  const answer = JSON.parse(stdout)
  const found = (answer.hosts?.[0] ?? answer) as {
    keys: readonly Key[]
    did: readonly string[]
    couldNot: readonly { readonly text: string; readonly mend: string }[]
    verified: readonly {
      account: Account
      way: string
      works: boolean
      isConfigured: boolean
      on: string
      said: string
    }[]
  }
  const codes = (who: Account) =>
    found.keys.find((key) => key.account === who)?.findings.map((finding) => finding.code) ?? []
  return { code, ...found, codes, of: (who: Account) => found.keys.find((key) => key.account === who) }
}

const registered = async () => {
  const text = await stage.inside('standin', `cat ${account}/ssh-keys`)
  return text.split('\n').filter(Boolean)
}

/** Which keys opened which command since it was last asked. */
async function connections(): Promise<{ user: string; key: string; command: string; client: string }[]> {
  const file = `${account}/connections`
  const text = await stage.inside('standin', `[ ! -e ${file} ] || { cat ${file}; rm ${file}; }`)
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

const bodyOf = async (who: Account, file = fileOf(who)) =>
  (await stage.inside('dave', `ssh-keygen -y -P '' -f ${file}`)).split(' ')[1] ?? ''

test('keys are made on the host, registered, and each tried as the one who uses it', async (t) => {
  const missing = await keys()
  t.match(missing, { code: 1, keys: [{ account: 'root' }, { account: 'my_username' }] })
  t.same([missing.codes('root'), missing.codes('my_username')], [['missing'], ['missing']])

  const installed = await keys('install')
  t.match(installed, { code: 0, couldNot: { length: 0 } })
  const lines = await registered()
  t.match(lines.at(-2), /^ssh-ed25519 \S+ dave:root:\d{4}-\d\d-\d\d$/)
  t.match(lines.at(-1), /^ssh-ed25519 \S+ dave:my_username:\d{4}-\d\d-\d\d$/)
  t.same(installed.keys.map((key) => key.public).sort(), lines.slice(-2).sort())
  for (const who of ['root', 'my_username'] as const) {
    const rights = await stage.inside('dave', `stat -c '%U %a' ${fileOf(who)} ${home[who]}/.ssh/config`)
    t.equal(rights, `${who} 600\n${who} 600\n`)
  }
  t.same((await keys('install')).did, [], 'what is right is left alone')

  // One of ssh's defaults, which must not be offered.
  await stage.inside('dave', 'ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519')
  await connections()
  const verified = await keys('verify')
  t.match(verified, {
    code: 0,
    verified: [
      { account: 'root', way: 'build', works: true, isConfigured: false },
      { account: 'my_username', way: 'store', works: true },
    ],
  })
  const seen = await connections()
  const opened = (command: string) => [...new Set(seen.filter((one) => one.command === command).map(({ key }) => key))]
  t.same(
    opened('nix-store --serve --write'),
    [`publickey ssh-ed25519 ${await bodyOf('root')}`],
    "the hook's key is root's",
  )
  t.equal(seen.filter(({ client }) => client !== lab.address('dave')).length, 0)

  // A key that works is no proof of another one.
  const config = await stage.inside('dave', 'cat /root/.ssh/config')
  const other = (await stage.inside('dave', 'cat /root/.ssh/id_ed25519.pub')).trim()
  await stage.inside('standin', `echo '${other}' >> ${account}/ssh-keys`)
  await stage.inside('dave', "sed -i '1i Host *\\n  IdentityFile /root/.ssh/id_ed25519' /root/.ssh/config")
  const byAnother = await keys('verify')
  t.match(byAnother, { code: 1, verified: [{ account: 'root', works: false }, { works: true }] })
  t.match(byAnother.verified[0]?.said, /not by \/root\/\.ssh\/nixbuild alone: .* \/root\/\.ssh\/id_ed25519$/)
  await lab.inside('dave', 'cat > /root/.ssh/config', { input: config })
  await stage.inside('standin', `sed -i '$d' ${account}/ssh-keys`)

  const publics = await keys('show')
  t.same(
    publics.keys,
    installed.keys.map((key) => key.public),
  )
})

test('--all takes every host that has keys, and none of them holds up the others', async (t) => {
  const hosts = stage.inventory.hosts as Record<string, unknown>
  t.teardown(async () => {
    for (const name of ['keyless', 'gone']) delete hosts[name]
    await describe({})
  })
  await stage.describeHost('keyless', { ssh: 'root@nobody.lab', system: 'x86_64-linux' })
  await stage.describeHost('gone', { ssh: 'root@nobody.lab', system: 'x86_64-linux', nixbuildKeys: ['root'] })
  const { code, stdout } = await stage.deploy('keys', '--all')
  t.match(JSON.parse(stdout), {
    hosts: [
      { host: 'dave', keys: [{ acceptance: 'yes', findings: { length: 0 } }, {}] },
      { host: 'gone', error: {} },
    ],
  })
  t.same([code, JSON.parse(stdout).hosts.length], [4, 2], 'who has no keys is left out')
  const { stdout: publics } = await stage.deploy('keys', 'show', '--all', '--plain')
  t.equal(publics.match(/^ssh-ed25519 \S+ dave:.*$/gm)?.length, 2)

  // Only what is old is changed.
  const before = [await bodyOf('root'), await bodyOf('my_username')]
  t.equal((await stage.deploy('keys', 'rotate', '--all', '--max-age', '90d')).code, 4)
  t.same([await bodyOf('root'), await bodyOf('my_username')], before)
  await stage.inside('dave', `ssh-keygen -q -c -P '' -C dave:root:2026-01-01 -f ${fileOf('root')}`)
  const rotated = await stage.deploy('keys', 'rotate', '--all', '--max-age', '90d')
  t.match(JSON.parse(rotated.stdout), { hosts: [{ host: 'dave', couldNot: { length: 0 } }, { error: {} }] })
  t.not(await bodyOf('root'), before[0])
  t.equal(await bodyOf('my_username'), before[1])

  await stage.describeHost('dave', { nixbuildKeys: [] })
  const { stdout: why } = await stage.deploy('keys', 'why', 'dave', '--plain')
  t.match(why, 'nothing that this host does by itself needs a key')
})

/** `[what is done to root's key, to the user's]`, each with the code by which it is told. */
const breakages: readonly { root: [string, string]; my_username: [string, string] }[] = [
  { root: ['chmod 644 FILE', 'mode'], my_username: ["sed -i 's/$/\\r/' FILE", 'line-ends'] },
  { root: ['chown my_username FILE', 'owner'], my_username: ['truncate -s -1 FILE', 'no-final-newline'] },
  { root: ['ssh-keygen -q -p -P "" -N secret -f FILE', 'passphrase'], my_username: ['chown root FILE', 'owner'] },
  {
    root: ['rm /root/.ssh/known_hosts', 'no-host-key'],
    my_username: [
      "printf 'Host nixbuild\\n  HostName eu.nixbuild.net\\n  IdentityFile ~/.ssh/nixbuild\\n' > HOME/.ssh/config",
      'alias',
    ],
  },
  {
    root: [
      'ssh-keygen -q -t ed25519 -N "" -f /tmp/x; echo eu.nixbuild.net $(cut -d" " -f1,2 /tmp/x.pub) > HOME/.ssh/known_hosts; rm /tmp/x*',
      'other-host-key',
    ],
    my_username: ['rm FILE HOME/.ssh/config', 'missing'],
  },
]

test('every state of a key is told apart, and mended by the command that the message names', async (t) => {
  for (const breakage of breakages) {
    for (const who of ['root', 'my_username'] as const) {
      const script = breakage[who][0].replaceAll('FILE', fileOf(who)).replaceAll('HOME', home[who])
      await stage.inside('dave', script)
    }
    const broken = await keys()
    t.equal(broken.code, 1)
    for (const who of ['root', 'my_username'] as const) {
      const code = breakage[who][1]
      t.match(broken.codes(who)[0], code, `${who}: ${code}`)
      t.same([...new Set(broken.of(who)?.findings.map(({ mend }) => mend))], ['deploy keys install dave'])
      const isKeyItself = !['no-host-key', 'other-host-key', 'alias', 'owner'].includes(code)
      if (isKeyItself) t.not(broken.of(who)?.acceptance, 'yes', `ssh itself can do nothing with it: ${code}`)
    }
    const mended = await keys('install')
    t.match(
      { code: mended.code, couldNot: mended.couldNot },
      { code: 0, couldNot: { length: 0 } },
      JSON.stringify(breakage),
    )
  }
  await stage.inside('standin', `sed -i '/dave:my_username/d' ${account}/ssh-keys`)
  const revoked = await keys()
  t.same([revoked.codes('root'), revoked.codes('my_username')], [[], ['revoked']])
  t.match(await keys('verify'), { code: 1, verified: [{ works: true }, { works: false }] })
  t.match(await keys('rotate'), { code: 0, couldNot: { length: 0 } }, 'another key is')
  const make = `ssh-keygen -q -t ed25519 -N '' -C dave:root:2026-11-26 -f ${fileOf('root')}`
  await stage.inside('dave', `rm ${fileOf('root')}*; ${make} && rm ${fileOf('root')}.pub`)
  t.same((await keys()).codes('root'), ['not-registered'], 'another key was never in the account')
  t.match(await keys('install'), { code: 0, did: ['root: key registered with the account (api)'] })
})

test('where the service takes no api command, a shell is typed into; where it takes none, a person is told', async (t) => {
  const forget = () => stage.inside('standin', `sed -i '/dave:root/d' ${account}/ssh-keys`)
  await forget()
  await stage.inside('standin', `touch ${account}/no-api`)
  t.match(await keys('install'), { code: 0, did: ['root: key registered with the account (shell)'] })

  await forget()
  await stage.inside('standin', `touch ${account}/no-shell`)
  const { code, couldNot } = await keys('install')
  t.equal(code, 1)
  const line = /then: (ssh-keys add ssh-ed25519 \S+ dave:root:\S+)$/.exec(couldNot[0]?.mend ?? '')?.[1] ?? ''
  t.not(line, '')

  // Somebody at a terminal is waited for.
  await stage.inside('standin', `rm ${account}/no-shell`)
  await describe({ keyCommands: { add: 'ssh-keys enroll {key}' } })
  const [program = '', ...rest] = [
    ...lab.sshCommand('control', { terminal: true }).map((word) => (word === '-t' ? '-tt' : word)),
    '--',
    'cd infra && deploy keys install dave',
  ]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  let shown = ''
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString()
      if (/waiting until it is done/.test(shown)) resolve()
    })
    void ended.then(() => resolve())
  })
  t.match(shown.replaceAll(/\s+/g, ' '), 'ssh-keys enroll ssh-ed25519')
  const known = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null'
  await stage.onControl(`{ sleep 1; echo '${line}'; sleep 1; } | ssh -T ${known} eu.nixbuild.net shell`)
  t.equal(await ended, 0, shown)
  t.match(shown, 'by hand')

  await forget()
  await stage.inside('standin', `rm ${account}/no-api`)
  await describe({ keyCommands: { add: 'ssh-keys add {key} by-deploy' } })
  t.match(await keys('install'), { code: 0, did: ['root: key registered with the account (api)'] })
  t.match((await registered()).at(-1), / by-deploy$/, 'hosts.yaml says how')
  await describe({})
})

/** Root's ssh connects from dave again and again, until it is stopped: `gaps` has what it said when it was not let in. */
async function useAllTheTime(words: string) {
  const use = `ssh ${words} < /dev/null 2> /run/said; [ $? != 255 ] || cat /run/said >> /run/gap; echo >> /run/tries`
  await stage.inside(
    'dave',
    `rm -f /run/gap /run/tries; systemd-run --quiet --unit=use -E PATH=/usr/bin sh -c 'while :; do ${use}; done'`,
  )
  return async () => {
    await stage.inside('dave', 'systemctl stop use')
    const gaps = await stage.inside('dave', 'cat /run/gap 2> /dev/null || :')
    return { gaps, tries: Number(await stage.inside('dave', 'wc -l < /run/tries')) }
  }
}

test('a key is changed without a gap, however often that is interrupted, and the old one is refused', async (t) => {
  await describe({}, ['root'])
  const before = await bodyOf('root')
  const others = (await registered()).filter((line) => !line.includes(before))
  await stage.inside('dave', 'cp -p /root/.ssh/nixbuild /root/kept')
  t.same((await keys('rotate', '--max-age', '90d')).did, [], 'a young key stays')
  const stop = await useAllTheTime('-o BatchMode=yes eu.nixbuild.net nix-daemon --stdio')
  for (const point of [/registered with/, /trying the keys/, /removed from/]) {
    const run = stage.start('keys', 'rotate', 'dave')
    await run.until(point)
    await run.signal('KILL')
    await run.finished
    const { codes, of } = await keys()
    t.equal(of('root')?.acceptance, 'yes', `${point}: the key in place works`)
    t.same(
      codes('root').filter((code) => code !== 'rotating'),
      [],
    )
  }
  const done = await keys('rotate')
  t.match(done, { code: 0, couldNot: { length: 0 }, verified: [{ way: 'build', works: true }] }, JSON.stringify(done))
  const { gaps, tries } = await stop()
  t.equal(gaps, '', 'at no time there was no key that works')
  t.ok(tries > 10)
  const after = await bodyOf('root')
  t.not(after, before)
  const lines = await registered()
  t.same(
    lines.filter((line) => !line.includes(after)),
    others,
    'the account has the new one in place of the old one',
  )
  t.equal(lines.filter((line) => line.includes(after)).length, 1)
  t.equal(await stage.inside('dave', 'ls /root/.ssh | grep -E "^nixbuild.(next|old|new)" || :'), '')
  const knock = await lab.inside(
    'dave',
    'ssh -F /dev/null -i /root/kept -o IdentitiesOnly=yes -o BatchMode=yes eu.nixbuild.net shell',
  )
  t.match(knock, { code: 255, stderr: 'Permission denied' })

  // The daemon's own line pins another host key: no new key can be shown to work.
  await stage.inside(
    'dave',
    'echo "ssh://eu.nixbuild.net x86_64-linux - 1 1 - - $(base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub)" > /etc/nix/machines',
  )
  const undone = await keys('rotate')
  t.match(undone, { code: 1, verified: [{ works: false }] })
  t.match(undone.couldNot[0]?.text, 'the old one is in its place again')
  t.equal(await bodyOf('root'), after)
  await stage.inside('dave', 'rm /etc/nix/machines')
  t.match(await keys('rotate'), { code: 0, couldNot: { length: 0 } }, 'then it goes on')
  t.not(await bodyOf('root'), after)
  t.equal((await registered()).length, lines.length)
  await describe({})
})

test('with the configuration of the post: which key the daemon uses, which nobody needs, and whose rules hold', async (t) => {
  const hostKey = lab.publicKey(lab.hostKey('standin')).split(' ').slice(0, 2).join(' ')
  await stage.configure('dave', {
    etc: {
      'ssh/ssh_config':
        'Host eu.nixbuild.net\n  IdentityFile ~/.ssh/nixbuild\n  IdentitiesOnly yes\n  ServerAliveInterval 60\n  IPQoS throughput\n',
      'ssh/ssh_known_hosts': `eu.nixbuild.net ${hostKey}\n`,
      'nix/machines': 'ssh://eu.nixbuild.net x86_64-linux /home/my_username/.ssh/nixbuild 100 1\n',
    },
  })
  await stage.inside('dave', 'chmod 640 /root/.ssh/nixbuild')
  const deployed = await stage.deployHost('dave')
  t.equal(deployed.outcome.kind, 'deployed')
  t.match(deployed.outcome.warnings.join('\n'), /key of root: .* has mode 640: .*deploy keys install dave/)
  t.match(
    (await stage.deploy('doctor', 'dave', '--plain')).stdout,
    /key of root: .* has mode 640: .*\n.*deploy keys install dave/,
  )
  await stage.inside(
    'dave',
    'for home in /root /home/my_username; do rm $home/.ssh/config $home/.ssh/known_hosts; done',
  )
  const { did } = await keys('install')
  t.match(did, [/^root: only root may read the key now/])
  t.equal(did.length, 1, 'the configuration says all the rest')
  const status = (await stage.deploy('keys', 'dave', '--plain')).stdout
  t.match(status, /root .*, host key pinned, accepted\n/)
  t.match(status, '/etc/ssh comes from the NixOS configuration: `deploy keys module dave` prints')

  await connections()
  const verified = await keys('verify', '--local-rebuild')
  t.match(verified, {
    code: 0,
    machine: { systemRule: 'configuration' },
    verified: [
      { account: 'root', way: 'build', works: true, isConfigured: true },
      { account: 'my_username', way: 'store', works: true },
      { account: 'my_username', way: 'local-rebuild', works: true, on: 'ssh://eu.nixbuild.net' },
    ],
  })
  const used = (await connections()).filter(({ command }) => command === 'nix-store --serve --write')
  t.same(
    [...new Set(used.map(({ key }) => key.split(' ')[2]))],
    [await bodyOf('my_username')],
    "the user's key, read by root",
  )
  const { stdout } = await stage.deploy('keys', 'why', 'dave', '--plain')
  t.match(
    stdout,
    "the Nix daemon's hook, for `ssh://eu.nixbuild.net x86_64-linux /home/my_username/.ssh/nixbuild 100 1`",
  )
  t.match(stdout, '/root/.ssh/nixbuild: the daemon is given /home/my_username/.ssh/nixbuild')
  t.match(stdout, 'a host that only receives deployments needs none at all')
  const module = await stage.deploy('keys', 'module', 'dave', '--plain')
  t.match(module.stdout, `publicKey = "${hostKey}";`)

  // Changed while root's daemon uses it, by a line that names the one file and by no configuration that names the other.
  const config = await stage.inside('dave', 'cat /root/.ssh/config 2> /dev/null || :')
  const words = '-i /home/my_username/.ssh/nixbuild -o BatchMode=yes eu.nixbuild.net nix-daemon --stdio'
  const stop = await useAllTheTime(words)
  const was = await bodyOf('my_username')
  t.match(await keys('rotate'), { code: 0, couldNot: { length: 0 } })
  t.not(await bodyOf('my_username'), was)
  const { gaps, tries } = await stop()
  t.equal(gaps, '', 'at no time there was no key that works')
  t.ok(tries > 10)
  t.equal(await stage.inside('dave', 'cat /root/.ssh/config 2> /dev/null || :'), config, 'and nothing of it is left')

  // The post's question: who connects, when my_username types something, and what was missing.
  const build = (name: string) =>
    `nix-build --no-out-link --max-jobs 0 --option substitute false -E 'derivation { name = "${name}"; system = "x86_64-linux"; builder = "/bin/sh"; args = ["-c" "echo > $out"]; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"; }'`
  t.match(await whoConnects(build('by-the-user')), { code: 0, users: ['root'] }, 'the daemon builds')
  const store = 'nix store info --store ssh-ng://eu.nixbuild.net'
  t.match(await whoConnects(store), { code: 0, users: ['my_username'] }, 'the command itself connects')

  // The post's own block, by another name, and no host key pinned.
  const posts = 'Host nixbuild\\n  HostName eu.nixbuild.net\\n  IdentityFile ~/.ssh/nixbuild\\n  IdentitiesOnly yes\\n'
  await stage.inside(
    'dave',
    `rm /root/.ssh/nixbuild*; cd /etc/ssh; mv ssh_known_hosts away; mv ssh_config config-away; printf '${posts}' > ssh_config`,
  )
  t.same((await keys()).codes('my_username').sort(), ['alias', 'no-host-key', 'options'])
  t.match(await whoConnects(build('unknown')), { code: 1, stderr: 'Host key verification failed' })
  const accept = 'ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes nixbuild shell'
  t.match(await lab.inside('dave', accept), { code: 255, stderr: 'Permission denied' }, 'root has no key at all')
  t.match(await whoConnects(build('known')), { code: 0, users: ['root'] }, 'and yet that was what was missing')
  await stage.inside('dave', 'mv /etc/ssh/config-away /etc/ssh/ssh_config')

  // The key is the user's, and root is the one who has to know the host key.
  await describe({}, ['my_username'])
  await stage.inside('dave', 'rm /root/.ssh/known_hosts')
  t.same((await keys()).codes('my_username'), ['no-host-key', 'daemon-host-key'])
  const pinned = await keys('install')
  t.match(pinned, { code: 0, did: [/^my_username: the host key .* is pinned/, /^root: the host key .* is pinned/] })
  t.match(await whoConnects(build('pinned')), { code: 0, users: ['root'] })
  await describe({})

  await stage.inside('dave', 'mv /etc/ssh/away /etc/ssh/ssh_known_hosts; mv /etc/nix/machines /etc/nix/away')
  const local = await keys('verify', '--local-rebuild')
  t.match(local.verified.at(-1), { way: 'local-rebuild', works: false }, 'the CPU of the host builds nothing')
  await stage.inside('dave', 'mv /etc/nix/away /etc/nix/machines')
})

test('with what `keys module` prints in its configuration, a host needs its private keys and nothing else', async (t) => {
  await stage.inside('dave', 'rm -f /etc/nix/machines')
  t.match(await keys('revoke'), { code: 0, couldNot: { length: 0 } })
  await stage.inside('dave', 'rm -f /root/.ssh/config /root/.ssh/known_hosts /home/my_username/.ssh/config')
  const module = JSON.parse((await stage.deploy('keys', 'module', 'dave')).stdout).hosts[0].module as string
  t.match(module, '`deploy keys install dave`')
  t.match(module, /trusted-public-keys = \[ "nixbuild\.net\/STANDIN-1:\S+" \]/)
  await stage.configure('dave', { etc: await filesOfNixos(module) })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')

  const installed = await keys('install')
  t.match(installed, { code: 0, machine: { systemRule: 'configuration' } })
  for (const done of installed.did) t.match(done, /new key|key made|registered/, 'no file of ssh is written')
  t.equal(await stage.inside('dave', 'ls /root/.ssh/config /home/my_username/.ssh/config 2> /dev/null || :'), '')
  t.match(await keys('verify', '--local-rebuild'), {
    code: 0,
    verified: [
      { account: 'root', way: 'build', works: true, isConfigured: true },
      { account: 'my_username', way: 'store', works: true },
      { account: 'my_username', way: 'local-rebuild', works: true, on: 'ssh://eu.nixbuild.net' },
    ],
  })
  t.match(await keys('rotate'), { code: 0, couldNot: { length: 0 } })
  t.match(await keys('verify'), { code: 0 })
})

/** What NixOS makes of a module's settings in /etc (nixos/modules: programs/ssh.nix, config/nix-remote-build.nix). */
async function filesOfNixos(module: string): Promise<Record<string, string>> {
  const evaluate = 'cat > /tmp/module.nix && nix-instantiate --eval --strict --json -E "import /tmp/module.nix"'
  const { code, stdout, stderr } = await lab.inside('forge', evaluate, { input: module })
  if (code !== 0) throw new Error(stderr)
  interface Machine extends Record<'hostName' | 'system', string> {
    readonly maxJobs: number
    readonly supportedFeatures: readonly string[]
  }
  const { programs, nix } = JSON.parse(stdout) as {
    programs: {
      ssh: {
        extraConfig: string
        knownHosts: Readonly<Record<string, { readonly hostNames: readonly string[]; readonly publicKey: string }>>
      }
    }
    nix: { distributedBuilds: true; buildMachines: readonly Machine[] }
  }
  const known = Object.values(programs.ssh.knownHosts)
  const machine = (one: Machine) =>
    `ssh://${one.hostName} ${one.system} - ${one.maxJobs} 1 ${one.supportedFeatures.join(',')} - -`
  return {
    'ssh/ssh_config': `${programs.ssh.extraConfig}\n\nHost *\nGlobalKnownHostsFile /etc/ssh/ssh_known_hosts\n`,
    'ssh/ssh_known_hosts': known.map((one) => `${one.hostNames.join(',')} ${one.publicKey}\n`).join(''),
    'nix/machines': nix.buildMachines.map((one) => `${machine(one)}\n`).join(''),
  }
}

/** Runs a script as my_username on dave; `users`: those whose `ssh` ran meanwhile. */
async function whoConnects(script: string) {
  const record = await lab.recordExecutions('dave')
  const { code, stderr } = await lab.ssh('dave', script)
  const ran = (await record.stop()).filter(({ command }) => command === 'ssh')
  const numbers = [...new Set(ran.map(({ user }) => user))]
  return { code, stderr, users: numbers.map((number) => (number === 0 ? 'root' : 'my_username')) }
}

/** Looks at the processes of machines again and again; in the end, says on which of them a text was in an argument. */
function watchArguments(machines: readonly string[]) {
  const found = new Map(machines.map((machine) => [machine, new Set<string>()]))
  const timer = setInterval(() => {
    for (const [machine, all] of found) for (const { argv } of lab.hostProcesses(machine)) all.add(argv.join(' '))
  }, 10)
  // A test that fails may never stop it.
  timer.unref()
  return () => {
    clearInterval(timer)
    return (text: string) => machines.filter((machine) => [...(found.get(machine) ?? [])].join('\n').includes(text))
  }
}

test('no private key is in a log, a message, a list of processes or the store, and none is left after it is revoked', async (t) => {
  const machines = ['control', 'forge', 'standin', 'dave']
  t.match(await keys('install'), { code: 0 })
  // The line that the seed is in: of the 64 bytes that are secret, the first 32 begin at byte 161.
  const secretIn = async (who: Account) => (await stage.inside('dave', `sed -n 5p ${fileOf(who)}`)).trim()
  const secretsNow = async () => [await secretIn('root'), await secretIn('my_username')]
  const stop = watchArguments(machines)
  const old = await secretsNow()
  for (const secret of old) t.match(secret, /^[A-Za-z0-9+/=]{60,}$/)
  t.match(await keys('rotate'), { code: 0 })
  await stage.inside('dave', `rm ${fileOf('root')} ${fileOf('my_username')}`)
  t.match(await keys('install'), { code: 0 })
  t.match(await keys('verify'), { code: 0 })
  const secrets = [...old, ...(await secretsNow())]
  t.equal(new Set(secrets).size, 4)
  await lab.ssh('dave', `for turn in $(seq 50); do sh -c 'sleep 0.05; exit 0' looked-for; done`)
  const sawIt = stop()
  t.same(sawIt('looked-for'), ['dave'], 'what runs for a moment is seen')
  for (const secret of secrets) t.same(sawIt(secret), [], 'no process had it as an argument')
  for (const secret of secrets) t.notOk(told.includes(secret), 'nothing that was said has it')

  const search = async () => {
    const places = '/var/log /var/lib/deploy /run /var/lib/nixbuild-stand-in /home/ops /tmp /nix/store /etc'
    const patterns = secrets.map((secret) => `-e ${secret}`).join(' ')
    const script = `{ journalctl --quiet --no-pager; grep -raF ${patterns} --devices=skip ${places} 2> /dev/null; } | grep -cF ${patterns}`
    const counts = await Promise.all(machines.map((name) => lab.inside(name, script)))
    return counts.map(({ stdout }) => Number(stdout))
  }
  t.same(await search(), [0, 0, 0, 0])
  // Where one is, it is found.
  const control = watchArguments(machines)
  await lab.ssh('dave', `sh -c 'sleep 0.3; exit 0' ${secrets[0]}; echo ${secrets[0]} | sudo tee /var/log/secret`)
  t.same([control()(secrets[0] ?? ''), await search()], [['dave'], [0, 0, 0, 1]])
  await stage.inside('dave', 'rm /var/log/secret')

  // One that is set aside is known to the account all the same.
  const aside = await bodyOf('root')
  await stage.inside('dave', `ssh-keygen -q -p -P "" -N secret -f ${fileOf('root')}`)
  t.match((await keys('install')).did.join(), 'stays in the account until the keys are revoked')
  t.ok((await registered()).some((line) => line.includes(aside)))

  const publics = (await keys('show')).keys as unknown as string[]
  // A service that can't be reached, from the middle of it on, has forgotten nothing.
  await describe({ keyCommands: { remove: 'ssh-keys list {key}' } })
  const run = stage.start('keys', 'revoke', 'dave')
  await run.until(/removed from/)
  await stage.inside('dave', `ip route add unreachable ${lab.address('standin')}`)
  t.equal((await run.finished).code, 1)
  t.match(await keys('revoke'), { code: 1, did: { length: 0 }, couldNot: [{ text: /could not be asked/ }, {}] })
  await stage.inside('dave', `ls ${fileOf('root')} ${fileOf('my_username')}`)
  await stage.inside('dave', `ip route del unreachable ${lab.address('standin')}`)
  await describe({})

  const gone = await keys('revoke')
  t.match(gone, { code: 0, couldNot: { length: 0 } })
  const lines = await registered()
  for (const line of [...publics, `ssh-ed25519 ${aside}`])
    t.notOk(lines.some((one) => one.includes(line.split(' ')[1] ?? line)))
  t.equal(await stage.inside('dave', 'ls /root/.ssh/nixbuild* /home/my_username/.ssh/nixbuild* 2> /dev/null || :'), '')
})

test("a token in place of root's key is brought into memory, used by the daemon, and nowhere else to be found", async (t) => {
  const machines = ['control', 'forge', 'standin', 'dave']
  const file = '/run/deploy-keys/token'
  const make = async () => {
    const known = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'
    const text = await stage.onControl(`ssh ${known} eu.nixbuild.net api tokens create`)
    await stage.onControl('umask 077; cat > token', (JSON.parse(text) as { token: string }).token)
    return (await stage.onControl('cat token')).trim()
  }
  const token = await make()
  t.match(token, /^[0-9a-f]{64}$/)
  await describe({}, ['my_username'])
  t.match(await keys('install'), { code: 0 })
  await stage.describeHost('dave', { nixbuildToken: { file: '/home/ops/token' } })
  t.match((await keys()).codes('root'), ['missing'])

  const stop = watchArguments(machines)
  t.match(await keys('install'), {
    code: 0,
    did: [`root: the token is in ${file}, until the next boot`, /a block for/],
  })
  t.same((await keys('install')).did, [], 'what is right is left alone')
  await connections()
  const verified = await keys('verify')
  t.match(verified, {
    code: 0,
    verified: [
      { account: 'root', way: 'build', works: true },
      { account: 'my_username', way: 'store', works: true },
    ],
  })
  t.same(stop()(token), [], 'no process had it as an argument')
  const hook = (await connections()).filter(({ command }) => command === 'nix-store --serve --write')
  t.same([...new Set(hook.map(({ user, key }) => `${user} ${key}`))], ['authtoken none'])

  t.equal(await stage.inside('dave', `stat -c '%U %a' ${file} /run/deploy-keys`), 'root 600\nroot 700\n')
  t.not((await lab.ssh('dave', `cat ${file}`)).code, 0)
  const { stdout: why } = await stage.deploy('keys', 'why', 'dave', '--plain')
  t.match(why, `ssh as root; keys the token in ${file}`)
  const { stdout: module } = await stage.deploy('keys', 'module', 'dave', '--plain')
  told += why + module
  t.notOk(told.includes(token), 'nothing that was said has it')

  const places = '/var /run /home /root /tmp /nix/store /etc'
  const search = async () => {
    const script = `journalctl --quiet --no-pager | grep -F ${token}; grep -rlaF --devices=skip ${token} ${places} 2> /dev/null`
    const found = await Promise.all(machines.map((name) => lab.inside(name, script)))
    return found.map(({ stdout }) => stdout.trim().split('\n').filter(Boolean))
  }
  t.same(await search(), [['/home/ops/token'], [], [], [file]])
  // Where one is, it is found.
  const control = watchArguments(machines)
  await lab.ssh('dave', `sh -c 'sleep 0.3; exit 0' ${token}; echo ${token} | sudo tee /var/log/secret`)
  t.same([control()(token), (await search())[3]?.includes('/var/log/secret')], [['dave'], true])
  await stage.inside('dave', 'rm /var/log/secret')

  await lab.powerCut('dave')
  await lab.powerOn('dave')
  t.match((await keys()).codes('root'), ['missing'], 'a boot takes it away')
  const doctor = await stage.deploy('doctor', 'dave', '--plain')
  t.match(doctor.stdout, /nixbuild\.net token of root: there is no token: .*\n.*deploy keys install dave/)
  t.match(await keys('install'), { code: 0, did: [`root: the token is in ${file}, until the next boot`] })

  await stage.inside('standin', `: > ${account}/tokens`)
  const refused = await keys()
  t.match(refused, { code: 1, keys: [{ acceptance: 'refused' }, {}] })
  t.match(refused.of('root')?.findings, [
    { code: 'refused', text: /not accept the token: .*the auth token is not valid/ },
  ])
  t.match(await keys('verify'), { code: 1, verified: [{ works: false }, { works: true }] })
  const other = await make()
  t.match(await keys('install'), { code: 0, did: [`root: the token is in ${file}, until the next boot`] })
  t.match(await keys('verify'), { code: 0 })
  t.notOk(told.includes(other))

  const gone = await keys('revoke')
  t.match(gone, { code: 0, couldNot: { length: 0 } })
  t.match(gone.did.join('\n'), /root: token deleted: .*\nroot: the token itself is valid until/)
  t.equal(await stage.inside('dave', `ls ${file} 2> /dev/null; grep -c authtoken /root/.ssh/config || :`), '0\n')
})
