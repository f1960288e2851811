/** What only a boot brings: guarded reboots, and what becomes of them when something dies on the way. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { inState } from './eventually.ts'
import { type Facts, type Stage, sameAsBefore, setStage } from './stage.ts'

const activation = { timeout: '30s', confirmWithin: '24s', settle: '1s', rebootWithin: '40s' }

let stage: Stage
let kernels = 0

before(async () => {
  stage = await setStage({ defaults: { activation, reboot: 'when-needed' } })
})

/** A kernel that the host hasn't had yet. */
const withNewKernel = (knobs: Record<string, unknown> = {}, kernel: Record<string, unknown> = {}) =>
  stage.configure('dave', { kernel: { version: `7.1.${++kernels}`, size: 100_000, ...kernel }, ...knobs })

const bootId = () => stage.inside('dave', 'cat /proc/sys/kernel/random/boot_id')

/** The host booted the new system, everything agrees, and nothing is left. */
function runsNew(t: Test, toplevel: string, is: Facts) {
  t.same(
    [is.running, is.booted, is.profile, is.boot, is.leftBehind],
    [toplevel, toplevel, toplevel, toplevel, []],
    'the new system was booted, and boots again',
  )
}

/** As before, apart from what it booted last. */
const sameButBooted = (t: Test, was: Facts, is: Facts) => sameAsBefore(t, { ...was, booted: is.booted }, is)

/** Until the host has recorded an end, however often it restarts meanwhile. */
async function ended({ history }: Facts): Promise<void> {
  const script = `[ "$(wc -l < /var/lib/deploy/history)" -gt ${history.length} ] && [ ! -L /run/deploy/lock ]`
  for (let turn = 0; turn < 400; turn++) {
    const { code } = await lab.inside('dave', script).catch(() => ({ code: 1 }))
    if (code === 0) return
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  throw new Error('no end of the deployment was recorded within 200 s')
}

/** A check that holds the deployment before its confirmation until `/run/go` is there. */
const held = (hold: boolean) =>
  stage.describeHost('dave', { checks: hold ? [{ command: ['test', '-e', '/run/go'] }] : [] })

test('a new kernel is booted, verified and confirmed', async (t) => {
  await withNewKernel()
  const booted = await bootId()
  const told = await stage.deployHost('dave')
  t.match(told.outcome, { kind: 'deployed', reason: '', warnings: { length: 0 } })
  t.match(told.stderr, /^dave: activate: with a reboot: another kernel$/m)
  t.equal(told.code, 0)
  const is = await stage.facts('dave')
  runsNew(t, told.outcome.toplevel, is)
  t.not(await bootId(), booted)
  t.match(is.history.at(-1), { outcome: 'deployed', mode: 'switch' })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'unchanged')
})

test('what can be switched to is switched to, without a reboot', async (t) => {
  await stage.configure('dave', { kernel: { version: `7.1.${kernels}`, size: 100_000 }, motd: 'live' })
  const booted = await bootId()
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  t.equal(await bootId(), booted)
})

test('what a switch inhibitor refuses comes with a reboot', async (t) => {
  const knobs = { kernel: { version: `7.1.${kernels}`, size: 100_000 } }
  await stage.configure('dave', { ...knobs, switchInhibitors: { dbus: 'dbus' } })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  await stage.configure('dave', { ...knobs, switchInhibitors: { dbus: 'broker' } })
  const { outcome, stderr } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'deployed', outcome.reason)
  t.match(stderr, 'with a reboot: its pre-switch checks refuse a live switch')
  runsNew(t, outcome.toplevel, await stage.facts('dave'))
})

test('a system that is unhealthy after its boot is left by another reboot', async (t) => {
  await stage.describeHost('dave', { checks: [{ http: { url: 'http://dave.lab:8080/', expect: '2xx' } }] })
  await withNewKernel()
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const was = await stage.facts('dave')
  await withNewKernel({ services: { broken: { type: 'oneshot', script: 'exit 1' } } })
  const told = await stage.deployHost('dave')
  t.match(told.outcome, { kind: 'rolled back', reason: 'broken.service failed', running: was.running })
  t.equal(told.code, 1)
  const is = await stage.facts('dave')
  sameAsBefore(t, was, is)
  t.match(is.history.at(-1), { outcome: 'rolled back', reason: 'broken.service failed' })
})

test('a rollback by hand to a system with another kernel reboots too', async (t) => {
  await withNewKernel()
  const was = await stage.facts('dave')
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  await stage.describeHost('dave', { reboot: 'never' })
  const { outcome } = await stage
    .deployHost('dave', '--mode', 'dry-activate', '--reboot')
    .catch(() => ({ outcome: undefined }))
  t.equal(outcome, undefined, '--reboot goes with a switch only')
  const told = await stage.deploy('rollback', 'dave', '--reboot')
  t.match(told.outcomes['dave'], { kind: 'deployed', toplevel: was.running })
  runsNew(t, was.running, await stage.facts('dave'))
})

test('a kernel that was left for later is booted later', async (t) => {
  await stage.describeHost('dave', { reboot: 'never' })
  await withNewKernel()
  const { outcome } = await stage.deployHost('dave')
  t.match(outcome, { kind: 'deployed', warnings: ['this kernel has not booted on this host yet'] })
  const booted = await bootId()
  t.equal((await stage.deployHost('dave')).outcome.kind, 'unchanged')
  t.equal(await bootId(), booted)
  const later = await stage.deployHost('dave', '--reboot')
  t.match(later.outcome, { kind: 'deployed', warnings: { length: 0 } })
  runsNew(t, outcome.toplevel, await stage.facts('dave'))
  await stage.describeHost('dave', { reboot: 'when-needed' })
})

test('a specialisation is activated after the boot of its parent', async (t) => {
  await stage.describeHost('dave', { specialisation: 'night' })
  await withNewKernel({ specialisation: { night: { motd: 'night' } } })
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'deployed', outcome.reason)
  const is = await stage.facts('dave')
  t.same([is.booted, is.profile, is.boot, is.leftBehind], [outcome.toplevel, outcome.toplevel, outcome.toplevel, []])
  t.equal(is.running, (await stage.inside('dave', `readlink -f ${outcome.toplevel}/specialisation/night`)).trim())
  const broken = { broken: { type: 'oneshot', script: 'exit 1' } }
  await withNewKernel({ specialisation: { night: { motd: 'another night', services: broken } } })
  const back = await stage.deployHost('dave')
  t.equal(back.outcome.kind, 'rolled back', back.outcome.reason)
  sameAsBefore(t, is, await stage.facts('dave'))
  await stage.describeHost('dave', { specialisation: null })
})

const spoiled: Record<string, Record<string, unknown>> = {
  'ends in emergency mode': {
    units: {
      'srv-data.mount': {
        text: '[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=/dev/disk/by-label/missing\nWhere=/srv/data\nType=ext4\nOptions=x-systemd.device-timeout=2s\n',
        requiredBy: ['local-fs.target'],
      },
    },
  },
  'never comes to its end': {
    services: {
      slow: {
        type: 'oneshot',
        script: 'sleep 9999',
        serviceConfig: { TimeoutStartSec: 'infinity' },
        before: ['multi-user.target'],
      },
    },
  },
  'lets nobody in': { sshd: { enable: false } },
}
for (const [what, knobs] of Object.entries(spoiled)) {
  test(`a boot of the new system that ${what} is followed by one of the old`, async (t) => {
    await withNewKernel(knobs)
    const was = await stage.facts('dave')
    const { outcome } = await stage.deployHost('dave')
    t.equal(outcome.kind, 'rolled back', outcome.reason)
    t.comment(outcome.reason)
    sameButBooted(t, was, await stage.facts('dave'))
  })
}

test('the host goes back by itself when nobody is there any more after the boot', async (t) => {
  await held(true)
  await withNewKernel()
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await deploying.until(/^dave: activate: with a reboot: /m)
  await deploying.signal('KILL')
  await deploying.finished
  await ended(was)
  const is = await stage.facts('dave')
  sameButBooted(t, was, is)
  t.match(is.history.at(-1), { outcome: 'rolled back', reason: 'nobody confirmed within 24 s' })
})

test('Ctrl-C after the boot makes the host go back, and waits for it', async (t) => {
  await held(true)
  await withNewKernel()
  const was = await stage.facts('dave')
  const deploying = stage.start('dave', '--plain', '-v')
  await deploying.until(/^dave: verify$/m)
  await deploying.signal('INT')
  const { code, stdout } = await deploying.finished
  t.equal(code, 130)
  t.match(stdout, /^\S+ dave +rolled back +interrupted/)
  sameButBooted(t, was, await stage.facts('dave'))
})

test('a host that restarts before its confirmation goes back', async (t) => {
  await held(true)
  await withNewKernel()
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await deploying.until(/^dave: verify$/m)
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  const { outcomes } = await deploying.finished
  t.match(outcomes['dave'], { kind: 'rolled back', running: was.running })
  sameButBooted(t, was, await stage.facts('dave'))
})

test('the power fails while the boot loader gets the new system: the host ends on one of the two', async (t) => {
  await held(false)
  await withNewKernel({ preSwitchChecks: { hold: '[ "$2" != boot ] || until [ -e /run/go ]; do sleep 0.1; done' } })
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await inState('dave', 'staging')
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  const { outcomes } = await deploying.finished
  t.match(outcomes['dave'], { kind: 'untouched', running: was.running })
  sameButBooted(t, was, await stage.facts('dave'))
})

test('a supervisor that is killed after the boot goes on', async (t) => {
  await held(true)
  await withNewKernel()
  const deploying = stage.start('dave')
  await deploying.until(/^dave: verify$/m)
  await stage.inside('dave', "systemctl kill -s KILL 'deploy-*'; touch /run/go")
  const { outcomes } = await deploying.finished
  t.match(outcomes['dave'], { kind: 'deployed', reason: '' })
  runsNew(t, outcomes['dave']?.toplevel ?? '', await stage.facts('dave'))
})

test('a host that forgets what is in /etc is not rebooted', async (t) => {
  await held(false)
  await withNewKernel()
  await stage.inside('dave', 'mkdir -p /etc/systemd/system.control && mount -t tmpfs none /etc/systemd/system.control')
  const was = await stage.facts('dave')
  const { outcome } = await stage.deployHost('dave')
  t.match(outcome, { kind: 'untouched', reason: /has to reboot \(another kernel\)/ })
  t.match(outcome.hints, [/--mode boot/])
  sameAsBefore(t, was, await stage.facts('dave'))
  await stage.inside('dave', 'umount /etc/systemd/system.control && rmdir /etc/systemd/system.control')
})

test('a kernel that does not come up needs hands, which is said; the boot menu has the way back', async (t) => {
  await held(false)
  await stage.describeHost('dave', { activation: { ...activation, timeout: '15s', rebootWithin: '12s' } })
  await withNewKernel({}, { isDead: true })
  const was = await stage.facts('dave')
  const told = await stage.deployHost('dave')
  t.match(told.outcome, { kind: 'needs hands', reason: 'the host has not come back within 1m30s of its reboot' })
  t.equal(told.code, 3)
  await lab.powerCut('dave')
  await lab.powerOn('dave', { choose: was.running })
  await ended(was)
  sameButBooted(t, was, await stage.facts('dave'))
})
