/** What can't work is refused before anything is copied, and what another one does is left alone. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { eventually, inState } from './eventually.ts'
import { gate } from './gate.ts'
import { type Stage, sameAsBefore, setStage } from './stage.ts'

let stage: Stage

before(async () => {
  stage = await setStage({ defaults: { activation: { timeout: '60s', confirmWithin: '60s', settle: '1s' } } })
  await stage.configure('dave', { motd: 'something new', bigPath: 60 })
})

const storePaths = async () => (await stage.inside('dave', 'ls -A /nix/store')).split('\n')

interface Refusal {
  readonly kind: 'untouched' | 'unreachable' | 'locked'
  readonly code: number
  readonly reason: RegExp
  readonly hints?: readonly RegExp[]
}

/** Deploys what must not work, and sees that dave is as before and has got nothing. */
async function refused(t: Test, expected: Refusal, look = { host: true }) {
  const was = look.host ? { facts: await stage.facts('dave'), paths: await storePaths() } : undefined
  const { code, outcome, stderr } = await stage.deployHost('dave')
  const { kind, reason, hints } = expected
  t.match(outcome, { kind, reason, hints: hints ?? { length: 0 }, sentBytes: 0, sentPaths: 0 })
  t.match(outcome.reason, /^[^\n]{1,200}$/, 'one line')
  t.equal(code, expected.code)
  t.notMatch(stderr, /^ +at /m, 'no stack trace')
  if (!was) return
  t.same(await storePaths(), was.paths, 'nothing was copied')
  sameAsBefore(t, was.facts, await stage.facts('dave'))
}

test('a host of another architecture than hosts.yaml says is refused', async (t) => {
  await stage.describeHost('dave', { system: 'aarch64-linux' })
  await refused(t, {
    kind: 'untouched',
    code: 1,
    reason: /^the host is x86_64, but hosts.yaml says aarch64-linux$/,
    hints: [/^set `system: x86_64-linux`/],
  })
  await stage.describeHost('dave', { system: 'x86_64-linux' })
})

test('a configuration for another architecture than hosts.yaml says is refused', async (t) => {
  await stage.configure('dave', { motd: 'for a Pi', system: 'aarch64-linux' })
  await refused(t, {
    kind: 'untouched',
    code: 1,
    reason: /^the configuration dave is for aarch64-linux, but hosts.yaml says x86_64-linux$/,
    hints: [/hostPlatform/],
  })
  await stage.configure('dave', { motd: 'something new', bigPath: 60 })
})

test('a configuration that the flake does not have is refused, and the one that was meant is named', async (t) => {
  await stage.describeHost('dave', { configuration: 'davee' })
  await refused(t, {
    kind: 'untouched',
    code: 1,
    reason: /^the flake has no nixosConfigurations.davee$/,
    hints: [/^did you mean dave\?$/, /^it has dave, erin, frank, grace, otto, pi$/],
  })
  await stage.describeHost('dave', { configuration: 'dave' })
})

test('a host whose key has changed is refused, and it is said how to find out why', async (t) => {
  await stage.onControl(`
    cp .ssh/known_hosts known_hosts.right && ssh-keygen -q -t ed25519 -N '' -f another-key
    ssh-keygen -q -R dave.lab && echo "dave.lab $(cut -d ' ' -f 1,2 another-key.pub)" >> .ssh/known_hosts`)
  await refused(t, {
    kind: 'untouched',
    code: 1,
    reason: /^the host key of dave.lab has changed; somebody may be in between$/,
    hints: [/compare the fingerprint/, /ssh-keygen -R 'dave.lab'/],
  })
  await stage.onControl('mv known_hosts.right .ssh/known_hosts; rm another-key*')
})

test('a user for whom sudo wants a password is refused', async (t) => {
  await stage.inside(
    'dave',
    `cp -p /etc/sudoers.d/lab /root/; echo 'my_username ALL=(ALL:ALL) ALL' > /etc/sudoers.d/lab`,
  )
  await refused(t, {
    kind: 'untouched',
    code: 1,
    reason: /^my_username cannot become root without a password$/,
    hints: [/NOPASSWD for my_username/, /`sudo: ask`/],
  })
  await stage.inside('dave', 'cp -p /root/lab /etc/sudoers.d/lab')
})

test('a host without room for what it lacks is refused', async (t) => {
  await stage.inside(
    'dave',
    'fallocate -l $(( $(df -P -k /nix/store | awk "NR == 2 { print \\$4 }") - 30000 ))K /nix/full',
  )
  await refused(t, {
    kind: 'untouched',
    code: 1,
    reason: /^the host lacks 6\d\.\d MB, and has room for \d\d\.\d MB: \d\d\.\d MB are missing$/,
    hints: [/^`deploy clean dave` would free about [\d.]+ k?B \(0 generations\); `deploy clean dave --keep 1 /],
  })
  await stage.inside('dave', 'rm /nix/full')
})

test('a host that is down is unreachable', async (t) => {
  const was = await stage.facts('dave')
  await lab.powerOff('dave')
  await refused(
    t,
    { kind: 'unreachable', code: 4, reason: /^(there is no route to|no login to|.*did not answer).*dave\.lab:22/ },
    { host: false },
  )
  await lab.powerOn('dave')
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('the disk gets full after the copy: the host goes back to what it ran', async (t) => {
  const { wait, open } = gate()
  const slow = { type: 'oneshot', script: wait, remainAfterExit: true }
  await stage.configure('dave', { motd: 'full', kernel: { version: '7.0.0', size: 3_000_000 }, services: { slow } })
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await eventually('dave', 'systemctl is-active slow | grep -qx activating')
  await lab.inside(
    'dave',
    'fallocate -l $(stat -f -c "%f * %S - 2000000" /nix | xargs expr) /nix/full; cat /dev/zero > /nix/fuller',
  )
  await inState('dave', 'activating')
  await open()
  const { code, outcomes } = await deploying.finished
  t.match(outcomes['dave'], {
    kind: 'rolled back',
    reason: /^the profile could not be set: error: [^;]*No space left on device$/,
  })
  t.equal(code, 1)
  sameAsBefore(t, was, await stage.facts('dave'))
  await stage.inside('dave', 'rm /nix/full*')
})

test('a second deployment is refused while the first one is under way, and names who holds the host', async (t) => {
  const { wait, open } = gate()
  const slow = { type: 'oneshot', script: wait, remainAfterExit: true }
  await stage.configure('dave', { motd: 'first', services: { slow } })
  const first = stage.start('dave')
  await inState('dave', 'activating')
  const { code, outcome } = await stage.deployHost('dave')
  t.match(outcome, {
    kind: 'locked',
    reason: /^ops@control has been deploying this host since \d{4}-\d\d-\d\dT/,
    sentBytes: 0,
  })
  t.equal(code, 4)
  await open()
  const { outcomes, code: firstCode } = await first.finished
  t.match(outcomes['dave'], { kind: 'deployed' })
  t.equal(firstCode, 0)
  const is = await stage.facts('dave')
  const system = outcomes['dave']?.toplevel
  t.same([is.running, is.profile, is.boot, is.leftBehind], [system, system, system, []])
})

test('of two deployments begun at the same time one wins, and the other is told by whom', async (t) => {
  const slow = { type: 'oneshot', script: 'sleep 6', remainAfterExit: true }
  await stage.configure('dave', { motd: 'at the same time', services: { slow } })
  const both = [stage.start('dave'), stage.start('dave')]
  const told = await Promise.all(both.map(({ finished }) => finished))
  // The slower one may be so slow that the other is through: then it finds everything done.
  const kinds = told.map(({ outcomes }) => outcomes['dave']?.kind).sort()
  t.match(kinds, ['deployed', /^(locked|unchanged)$/])
  for (const { code, outcomes } of told) {
    const { kind, reason } = outcomes['dave'] ?? {}
    t.equal(code, kind === 'locked' ? 4 : 0)
    if (kind === 'locked') t.match(reason, 'ops@control')
  }
  const is = await stage.facts('dave')
  t.same(is.leftBehind, [])
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'unchanged')
})
