/** What becomes of keys when something is in the way: the program for hosts, run here, with a home and a service of its own. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { brokenKeys, warnOfKeys } from '../../lib/deployment/keys/broken.ts'
import {
  installKeys,
  keysOf,
  lookAtDaemonsToo,
  revokeKeys,
  rotateKeys,
  verifyKeys,
} from '../../lib/deployment/keys/index.ts'
import type { KeysReport } from '../../lib/deployment/keys/report.ts'
import type { Tools } from '../../lib/deployment/tools.ts'
import { systemClock } from '../../lib/edge/clock.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import type { Host } from '../../lib/inventory/inventory.ts'
import { keysProgram } from '../../lib/keys/program.ts'
import type { Machine } from '../../lib/machine/machine.ts'
import { Problem } from '../../lib/problem.ts'

const directory = new URL('../../lib/keys/host/', import.meta.url)
const parts = new Map(readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), 'utf8')]))

const bodyOf = (file: string) =>
  execFileSync('ssh-keygen', ['-y', '-P', '', '-f', file], { encoding: 'utf8' }).split(' ')[1] ?? ''

/** root's key and an account at a service that knows it. `state`: files by which the service is told what to do. */
function place(t: Test, nixbuildKeys: readonly string[] = ['root'], token?: () => string) {
  const root = mkdtempSync(join(tmpdir(), 'deploy-keys-story-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  const state = (name: string) => join(root, name)
  const key = join(root, '.ssh/nixbuild')
  mkdirSync(join(root, '.ssh'))
  const makeKey = (file: string, passphrase = '', comment = 'dave:root:2026-11-26') =>
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', comment, '-f', file])
  makeKey(key)
  rmSync(`${key}.pub`)
  const known = () =>
    existsSync(state('known')) ? readFileSync(state('known'), 'utf8').split('\n').filter(Boolean) : []
  const remember = (...bodies: readonly string[]) =>
    writeFileSync(state('known'), bodies.map((one) => `${one}\n`).join(''))
  remember(bodyOf(key))
  const service = `
getent() { [ "$3" = root ] || return 2; echo "root:x:$(id -u):$(id -g)::${root}:/bin/sh"; }
as_account() { env HOME="$home" "$@" < /dev/null; }
run_directory=${root}/run
accepted_directory=${root}/accepted
token_file=$run_directory/token
is_in_memory() { :; }
store_info() {
  if [ -e ${root}/unreachable ]; then echo 'ssh: no route to it'; return 1; fi
  echo 'Authenticated to eu.nixbuild.net ([10.0.0.1]:22) using "none".'
  echo 'Store URL: ssh-ng://eu.nixbuild.net'
  grep -qxF -e "$secret" ${root}/known || { echo "error: nobody knows $secret"; return 1; }
}
with_known_hosts() { known_hosts=/dev/null; }
read_settings() { settings='system = x86_64-linux'; }
body_of() { ssh-keygen -y -P '' -f "$1" < /dev/null | cut -d ' ' -f 2; }
accepts() {
  if [ -e ${root}/unreachable ]; then echo 'unreachable no route to it'
  elif body=$(body_of "$1") && [ -n "$body" ] && grep -qxF "$body" ${root}/known; then echo yes
  else echo refused; fi
}
knows() { grep -qxF "$(locked_public_of "$1" | cut -d ' ' -f 2)" ${root}/known; }
verify_build() {
  echo 'way build'
  if [ -e ${root}/useless ]; then echo 'works no'; else echo 'works yes'; fi
  if [ -e ${root}/cut-off ]; then : > ${root}/unreachable; fi
}
[ ! -e ${root}/overrides ] || . ${root}/overrides
`
  const program = keysProgram(new Map([...parts, ['90-service.sh', service]]))
  const run: Machine['run'] = async ({ argv }) => {
    const [, , what, , body = ''] = argv
    if (existsSync(state('cut-off-at-change'))) writeFileSync(state('unreachable'), '')
    else remember(...known().filter((one) => one !== body), ...(what === 'add' ? [body] : []))
    return { code: 0, signal: null, lost: false, stdout: '{}', stderr: '' }
  }
  let now = 0
  const tools = {
    network: { connect: async () => localMachine({ name: 'dave', elevation: 'none' }) },
    clock: {
      monotonic: () => now,
      now: () => new Date('2026-11-27'),
      // What asks the service does not wait; what holds the lock does.
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (ms >= 20_000) await systemClock.sleep(ms, signal)
        now += ms
      },
    },
    report: () => {},
    who: 'me@here',
    signal: new AbortController().signal,
    keys: {
      program: async () => program,
      secret: async () => token?.(),
      builders: new Map(),
      login: async () => ({ run, open: () => Promise.reject(new Problem('no shell')), close: async () => {} }),
    },
  } as unknown as Tools
  const host = {
    name: 'dave',
    destination: 'dave',
    elevation: 'none',
    nixbuildKeys,
    nixbuildToken: token && { env: 'TOKEN' },
  } as unknown as Host
  const tell = async (story: Promise<{ seen: KeysReport | Problem }>) => {
    const { seen } = await story
    if (seen instanceof Problem) throw seen
    return { ...seen, failure: seen.couldNot[0]?.text }
  }
  const set = (name: string, text = '') => writeFileSync(state(name), text)
  return {
    root,
    key,
    run: join(root, 'run'),
    state: () => tell(keysOf(host, tools)),
    known,
    remember,
    makeKey,
    set,
    unset: (name: string) => rmSync(state(name), { force: true, recursive: true }),
    files: () => readdirSync(join(root, '.ssh')).filter((name) => /^nixbuild/.test(name) && !/\.pub$/.test(name)),
    install: () => tell(installKeys(host, { waitMs: 0 }, tools)),
    verify: () => tell(verifyKeys(host, { localRebuild: true }, tools)),
    rotate: (maxAgeMs?: number) => tell(rotateKeys(host, { waitMs: 0, maxAgeMs }, tools)),
    explained: async () => {
      const { seen } = await lookAtDaemonsToo(host, tools)
      if (seen instanceof Problem) throw seen
      return seen
    },
    /** what a deployment says, and what the doctor finds */
    warn: async () => {
      const machine = localMachine({ name: 'dave', elevation: 'none' })
      const told: string[] = []
      const report: Tools['report'] = (event) => void (event.kind === 'warning' && told.push(event.text))
      await warnOfKeys(host, { ...tools, report }, machine)
      const found = await brokenKeys(host, tools, machine)
      await machine.close()
      return { told, codes: found[0]?.findings.map(({ code }) => code) ?? [] }
    },
    revoke: () => tell(revokeKeys(host, { waitMs: 0 }, tools)),
  }
}

/** A rotation that got as far as having the new key in its place. */
function swapped(t: Test) {
  const here = place(t)
  const { key } = here
  renameSync(key, `${key}.old`)
  here.makeKey(key)
  rmSync(`${key}.pub`)
  return { ...here, old: bodyOf(`${key}.old`), fresh: bodyOf(key) }
}

t.test('a key is changed, and then nothing is left of the old one', async (t) => {
  const { key, known, files, rotate } = place(t)
  const before = bodyOf(key)
  t.match(await rotate(), { couldNot: { length: 0 }, verified: [{ works: true }] })
  t.not(bodyOf(key), before)
  t.same([known(), files()], [[bodyOf(key)], ['nixbuild']])
})

t.test('with an age, what is younger stays; what has no date is old', async (t) => {
  const hours = 3_600_000
  const { key, rotate } = place(t)
  const before = bodyOf(key)
  t.match(await rotate(90 * 24 * hours), { did: { length: 0 }, couldNot: { length: 0 } }, 'it was made the day before')
  t.equal(bodyOf(key), before)
  t.match(await rotate(12 * hours), { couldNot: { length: 0 }, verified: [{ works: true }] })
  t.not(bodyOf(key), before)

  const undated = place(t)
  rmSync(undated.key)
  undated.makeKey(undated.key, '', 'dave:root:once')
  undated.remember(bodyOf(undated.key))
  t.match(await undated.rotate(90 * 24 * hours), { couldNot: { length: 0 }, verified: [{ works: true }] })
})

t.test('the public half beside the key is its own, wherever a rotation was interrupted', async (t) => {
  const publicHalf = (key: string) => readFileSync(`${key}.pub`, 'utf8').split(' ')[1]
  const whole = place(t)
  t.match(await whole.rotate(), { couldNot: { length: 0 } })
  t.equal(publicHalf(whole.key), bodyOf(whole.key))

  // The new key was in its place, and its public half not yet.
  const { key, old, fresh, remember, set, unset, rotate } = swapped(t)
  remember(old, fresh)
  const line = execFileSync('ssh-keygen', ['-y', '-P', '', '-f', key], { encoding: 'utf8' })
  writeFileSync(`${key}.next.pub`, line)
  set('useless')
  t.match((await rotate()).failure, 'the old one is in its place again')
  t.equal(publicHalf(key), old)
  unset('useless')
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.equal(publicHalf(key), fresh)
  t.notOk(existsSync(`${key}.next.pub`))
})

t.test('a rotation that goes on never puts a key back that the account has forgotten', async (t) => {
  const { key, fresh, remember, set, rotate, files } = swapped(t)
  remember(fresh)
  set('useless')
  t.match((await rotate()).failure, 'stays in its place')
  t.same([bodyOf(key), files()], [fresh, ['nixbuild', 'nixbuild.old']])
})

t.test('a key that is let in is put back when the new one is of no use', async (t) => {
  const { key, old, fresh, remember, set, unset, rotate } = swapped(t)
  remember(old, fresh)
  set('useless')
  t.match((await rotate()).failure, 'the old one is in its place again')
  t.equal(bodyOf(key), old)
  unset('useless')
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.equal(bodyOf(key), fresh)
})

t.test('where the service cannot be asked, no key is moved, removed or deleted', async (t) => {
  const { key, old, fresh, known, remember, set, unset, rotate, revoke, files } = swapped(t)
  remember(old, fresh)
  set('unreachable')
  const both = ['nixbuild', 'nixbuild.old']
  t.match((await rotate()).failure, 'could not be asked: no route to it')
  t.same([bodyOf(key), files()], [fresh, both])
  t.match((await revoke()).failure, 'could not be asked: no route to it')
  t.same([known(), files()], [[old, fresh], both])

  unset('unreachable')
  set('cut-off')
  t.match((await rotate()).failure, 'could not be asked', 'it was let in before')
  t.same([known(), files()], [[old, fresh], both])

  unset('unreachable')
  unset('cut-off')
  set('cut-off-at-change')
  t.match((await rotate()).failure, 'whether it took could not be seen')
  t.same(files(), both)
  unset('unreachable')
  t.match((await revoke()).failure, 'whether it took could not be seen')
  t.same(files(), both)

  unset('unreachable')
  unset('cut-off-at-change')
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.same([known(), files()], [[fresh], ['nixbuild']])
})

/** An ssh that reads the configuration in this home, and not that of whoever runs the tests. */
const throughOwnFile = `
as_account() {
  if [ "$1" = ssh ]; then
    shift
    set -- ssh -F "$home/.ssh/config" "$@"
  fi
  env HOME="$home" "$@" < /dev/null
}
`

t.test('while a key is changed, who uses it has the old one to fall back to, whatever names it', async (t) => {
  const { root, key, set, rotate } = place(t)
  const config = join(root, '.ssh/config')
  const read = (file: string, name: string) =>
    execFileSync('ssh', ['-G', '-F', file, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const identities = (file: string, name: string) =>
    [...read(file, name).matchAll(/^identityfile (.*)$/gm)].map(([, one]) => one?.replace('~', root))
  const own = `Host forge\n  HostName eu.nixbuild.net\n  IdentityFile ${root}/of forge\nHost *\n  ConnectTimeout 7\n`
  writeFileSync(config, own.replace(/IdentityFile (.*)/, 'IdentityFile "$1"'))
  const before = readFileSync(config, 'utf8')
  // Beside the lines of the daemon that name this key, one that names another.
  const lines = [`ssh://eu.nixbuild.net - ${key} 1 1`, `ssh-ng://me@forge - ${key}`, 'ssh://other - /other']
  set(
    'overrides',
    `${throughOwnFile}
read_settings() { settings='builders = ${lines.join(' ; ')}'; }
service_builders() { builder_lines; }
verify_build() { echo 'way build'; echo 'works yes'; cp ${config} ${root}/meanwhile; }`,
  )
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.equal(readFileSync(config, 'utf8'), before, 'afterwards nothing of it is left')
  const meanwhile = join(root, 'meanwhile')
  t.same(identities(meanwhile, 'eu.nixbuild.net'), [...identities(config, 'eu.nixbuild.net'), `${key}.old`])
  t.same(identities(meanwhile, 'forge'), [`${root}/of forge`, `${key}.old`])
  for (const name of ['other', 'example.org']) t.equal(read(meanwhile, name), read(config, name), name)
  t.match(read(meanwhile, 'forge'), /^connecttimeout 7$/m)
})

t.test(
  'a configuration that is a link or that nobody can change is left alone, which is told, and the key is changed',
  async (t) => {
    const { root, key, set, rotate, files, known } = place(t)
    const config = join(root, '.ssh/config')
    const names = `Host eu.nixbuild.net\n  IdentityFile ${key}\n`
    writeFileSync(join(root, 'elsewhere'), names)
    symlinkSync(join(root, 'elsewhere'), config)
    set('overrides', throughOwnFile)
    const before = bodyOf(key)
    const { did, couldNot } = await rotate()
    t.match(did.join('\n'), / is a link, and does not name .*nixbuild\.old/)
    t.same(couldNot, [])
    t.not(bodyOf(key), before)
    t.equal(readFileSync(config, 'utf8'), names)

    rmSync(config)
    const broken = `${names}# deploy keys: begin change\nHost mine\n`
    writeFileSync(config, broken)
    const second = bodyOf(key)
    const end = await rotate()
    t.match(end.did.join('\n'), / can not be changed, and does not name .*nixbuild\.old/)
    t.match(end.failure, 'has a block that is to go: has each line `# deploy keys: begin change`')
    t.not(bodyOf(key), second)
    t.equal(readFileSync(config, 'utf8'), broken)
    writeFileSync(config, names)
    t.match(await rotate(), { couldNot: { length: 0 } }, 'then it goes on')
    t.same([known(), files()], [[bodyOf(key)], ['nixbuild']])
  },
)

t.test('an old key that is put back stays under both of its names until the change is over', async (t) => {
  const { root, key, old, fresh, remember, set, unset, rotate, files } = swapped(t)
  remember(old, fresh)
  set('overrides', throughOwnFile)
  const names = `Host eu.nixbuild.net\n  IdentityFile ${key}\n`
  writeFileSync(join(root, '.ssh/config'), names)
  set('useless')
  t.match((await rotate()).failure, 'the old one is in its place again')
  t.same(files(), ['nixbuild', 'nixbuild.next', 'nixbuild.old'])
  t.ok(statSync(key).ino === statSync(`${key}.old`).ino)
  t.match(readFileSync(join(root, '.ssh/config'), 'utf8'), 'nixbuild.old')
  unset('useless')
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.same([bodyOf(key), files()], [fresh, ['nixbuild']])
  t.equal(readFileSync(join(root, '.ssh/config'), 'utf8'), names)
})

t.test('a copy of the key in use is not taken out of the account, whatever it is called', async (t) => {
  const { key, known, rotate, files } = place(t)
  const before = bodyOf(key)
  writeFileSync(`${key}.old`, readFileSync(key), { mode: 0o600 })
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.not(bodyOf(key), before)
  t.same([known(), files()], [[bodyOf(key)], ['nixbuild']])
})

t.test('a power cut while the old key was put back is got over', async (t) => {
  const { key, old, fresh, known, remember, rotate, files } = swapped(t)
  remember(old, fresh)
  linkSync(key, `${key}.next`)
  t.match(await rotate(), { couldNot: { length: 0 } })
  t.same([bodyOf(key), known(), files()], [fresh, [fresh], ['nixbuild']])
})

t.test('a key that was not written to its end is made anew', async (t) => {
  for (const half of ['', 'lost']) {
    const { key, known, rotate, files } = place(t)
    const before = bodyOf(key)
    writeFileSync(`${key}.next`, half)
    // The power went when the old one had its second name.
    linkSync(key, `${key}.old`)
    t.match(await rotate(), { couldNot: { length: 0 } })
    t.not(bodyOf(key), before)
    t.same([known(), files()], [[bodyOf(key)], ['nixbuild']])
  }
})

t.test('a key without a public half is not put into place', async (t) => {
  const { key, set, rotate } = place(t)
  const before = bodyOf(key)
  set('overrides', 'make_key() { echo lost > "$1"; }')
  t.match((await rotate()).failure, 'no new key could be made')
  t.equal(bodyOf(key), before)
})

t.test('what the host could not do is told', async (t) => {
  const { old, fresh, remember, set, unset, rotate } = swapped(t)
  remember(old, fresh)
  const cannot = (command: string) =>
    set(
      'overrides',
      `as_account() { case "$*" in *'${command}'*) return 1 ;; esac; env HOME="$home" "$@" < /dev/null; }`,
    )
  cannot('rm -f "$1.back" "$1.old"')
  const undeleted = await rotate()
  t.match(undeleted.failure, 'could not be deleted')
  t.notMatch(undeleted.did.join(), 'the new key is in use')

  remember(old, fresh)
  set('useless')
  cannot('mv -f "$1.back" "$1"')
  t.match((await rotate()).failure, 'the old key could not be put back')

  unset('overrides')
  const other = place(t)
  other.set('overrides', 'make_key() { return 1; }')
  t.match(await other.rotate(), { failure: 'root: no new key could be made', did: { length: 0 } })
})

t.test('a key that something else puts there stays in the account', async (t) => {
  const { key, known, revoke } = place(t)
  renameSync(key, `${key}-elsewhere`)
  symlinkSync(`${key}-elsewhere`, key)
  const before = known()
  t.match((await revoke()).failure, 'is a link to')
  t.same(known(), before)
  t.ok(statSync(key).isFile())
})

t.test('keys that were set aside are revoked with the others, each of them', async (t) => {
  const { key, known, remember, install, revoke, files, makeKey } = place(t)
  rmSync(key)
  makeKey(key)
  remember(bodyOf(key))
  const lock = (file: string) => execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'secret', '-f', file])
  const bodies = [bodyOf(key)]
  for (const name of ['nixbuild.unusable', 'nixbuild.unusable.2']) {
    lock(key)
    t.match((await install()).did.join(), `${name}, and stays in the account`)
    bodies.push(bodyOf(key))
  }
  t.same(files(), ['nixbuild', 'nixbuild.unusable', 'nixbuild.unusable.2'])
  t.same(known().sort(), [...bodies].sort())
  remember(...known(), 'AAAAanother')
  t.match(await revoke(), { couldNot: { length: 0 } })
  t.same([known(), files()], [['AAAAanother'], []])
})

t.test('what the daemon does is explained by what root is, whoever the managed keys belong to', async (t) => {
  const { explained } = place(t, ['me'])
  t.same(
    (await explained()).accounts.map(({ account }) => account),
    ['me', 'root'],
  )
  const own = place(t)
  t.same(
    (await own.explained()).accounts.map(({ account }) => account),
    ['root'],
  )
})

t.test('a key that was not made for this host may be used elsewhere: the account keeps it', async (t) => {
  const brought = (t: Test, passphrase = '') => {
    const here = place(t)
    rmSync(here.key)
    here.makeKey(here.key, passphrase, 'me@laptop')
    return here
  }
  const { key, known, remember, rotate, files } = brought(t)
  const old = bodyOf(key)
  remember(old)
  const rotated = await rotate()
  const keepsIt = { text: /keeps the key "me@laptop"/, mend: new RegExp(`ssh-keys remove .*${old.slice(0, 20)}`) }
  t.match(rotated, { couldNot: [keepsIt], verified: [{ works: true }] })
  t.same([known().sort(), files()], [[old, bodyOf(key)].sort(), ['nixbuild']])
  t.match(await rotate(), { couldNot: { length: 0 } }, 'the next one is its own')
  t.same(known().sort(), [old, bodyOf(key)].sort())

  const other = brought(t)
  other.remember(bodyOf(other.key))
  t.match((await other.revoke()).couldNot, [keepsIt.text && { text: keepsIt.text }])
  t.same([other.known(), other.files()], [[bodyOf(other.key)], ['nixbuild']])
})

t.test('an account that is no more is told, and stops no other one', async (t) => {
  const { key, known, install, rotate, revoke, files } = place(t, ['gone', 'root'])
  const before = bodyOf(key)
  t.match((await install()).couldNot, [{ text: 'gone: there is no such account' }])
  t.match((await rotate()).couldNot, [{ text: /^gone: .*no such account/, mend: /leave it out of nixbuildKeys/ }])
  t.not(bodyOf(key), before)
  t.match((await revoke()).couldNot, [{ text: /^gone: .*still knows it/, mend: /begins with dave:gone;/ }])
  t.same([known(), files()], [[], []])
})

t.test('where somebody else changes keys, nothing is begun', async (t) => {
  const { key, known, set, install, rotate, revoke, files } = place(t)
  const before = [bodyOf(key), known(), files()]
  set('overrides', 'hold() { echo "held cron@there"; }')
  for (const story of [install, rotate, revoke]) {
    await t.rejects(story(), { kind: 'locked', message: 'its keys are being changed by cron@there' })
  }
  t.same([bodyOf(key), known(), files()], before)
})

t.test(
  'a deployment and the doctor see that the service has forgotten a key, and that it cannot be asked',
  async (t) => {
    const { remember, known, set, unset, warn } = place(t)
    // What ssh reads for this account comes from the computer that runs the tests.
    const ofItself = (await warn()).codes
    t.notOk(ofItself.includes('not-registered'))
    remember()
    t.match(await warn(), { codes: [...ofItself, 'revoked'] })
    set(
      'overrides',
      'describe_configuration() { printf "%s\\n" "identity $key" "identities-only yes" "alive 60" "ipqos throughput" "port 22" "pinned x"; }',
    )
    t.match(await warn(), {
      told: [
        /^nixbuild.net key of root: nixbuild.net knew the key, and the account has it no longer: deploy keys rotate dave$/,
      ],
      codes: ['revoked'],
    })
    unset('accepted')
    t.match(await warn(), {
      told: ['nixbuild.net key of root: nixbuild.net does not know the key: deploy keys install dave'],
      codes: ['not-registered'],
    })
    set('unreachable')
    t.match(await warn(), { told: { length: 0 }, codes: ['unreachable'] }, 'which breaks no key')
    unset('unreachable')
    t.same(known(), [])
  },
)

t.test('a key is there whole or not at all, wherever its making was cut off', async (t) => {
  const { key, makeKey, install, files } = place(t)
  for (const left of ['', 'half a key', 'whole']) {
    rmSync(key)
    if (left === 'whole') makeKey(`${key}.new`)
    else writeFileSync(`${key}.new`, left)
    const { keys } = await install()
    t.match(keys, [{ form: 'ok', mode: '600' }], left)
    t.same(files(), ['nixbuild'])
    t.notOk(existsSync(`${key}.new.pub`))
    rmSync(`${key}.pub`)
  }
})

t.test('a rebuild on the host that another builder did does not count', async (t) => {
  const { set, verify } = place(t)
  const by = (builder: string) =>
    set('overrides', `verify_local_rebuild() { printf '%s\\n' 'way local-rebuild' 'on ${builder}' 'works yes'; }`)
  by('ssh://eu.nixbuild.net')
  t.match((await verify()).verified.at(-1), { way: 'local-rebuild', works: true })
  by('ssh://forge')
  t.match((await verify()).verified.at(-1), { way: 'local-rebuild', works: false, on: 'ssh://forge' })
})

t.test('a token is brought to the host, and is in nothing that is told', async (t) => {
  let token = 'En0KEwoEa+/b=.-_:9'
  const here = place(t, [], () => token)
  const { key, run, remember, set, install, rotate, revoke, state, warn } = here
  rmSync(key)
  set(
    'overrides',
    'describe_configuration() { printf "%s\\n" "login authtoken" "authentications none" "sends-token yes" "alive 60" "ipqos throughput" "port 22" "pinned x"; }',
  )
  t.match(await warn(), { told: [/^nixbuild\.net token of root: there is no token: .*deploy keys install dave$/] })
  remember(token)
  const installed = await install()
  t.match(installed, {
    couldNot: { length: 0 },
    did: [/the token is in .*, until the next boot$/],
    keys: [{ kind: 'token', acceptance: 'yes' }],
  })
  const file = join(run, 'token')
  t.equal(readFileSync(file, 'utf8'), `SetEnv NIXBUILDNET_TOKEN=${token} token=${token}\n`)
  t.same([statSync(file).mode & 0o777, statSync(run).mode & 0o777], [0o600, 0o700])
  t.same((await install()).did, [], 'what is right is left alone')
  chmodSync(file, 0o644)
  t.match((await state()).keys[0]?.findings, [{ code: 'mode' }])
  t.match(await install(), { did: [/the token is in/] })
  t.equal(statSync(file).mode & 0o777, 0o600)

  remember('another')
  const refused = await state()
  t.match(refused.keys[0]?.findings, [
    { code: 'refused', text: 'nixbuild.net does not accept the token: error: nobody knows (token)' },
  ])
  t.notMatch(JSON.stringify([installed, refused]), token.slice(0, 8))
  t.same((await rotate()).did, [], 'it is changed where it comes from')
  token = 'another'
  t.match(await install(), { did: [/the token is in/], keys: [{ findings: { length: 0 } }] })

  t.match(await revoke(), { did: [/token deleted/, /tokens revoke$/], couldNot: { length: 0 } })
  t.equal(existsSync(file), false)
})

t.test('what is no token is refused, and not told', async (t) => {
  for (const token of ['two words', "a'b", 'a\nb', 'a"b', 'a\\b', '#a', '', '$(id)']) {
    const { install, run } = place(t, [], () => token)
    const problem = await install().catch((error: unknown) => error)
    t.match(problem, { kind: 'usage', message: 'the token has characters that no token of nixbuild.net has' })
    t.equal(existsSync(join(run, 'token')), false)
  }
})

t.test('a token is kept from a disk', async (t) => {
  const { set, install, run } = place(t, [], () => 'token')
  set('overrides', 'is_in_memory() { return 1; }')
  t.match((await install()).failure, 'is not in memory there')
  t.equal(existsSync(join(run, 'token')), false)
})
