/** New systems that take away what going back needs: the way back must not depend on them. */
import { before, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { eventually, running, seen } from './eventually.ts'
import { before as beforeThe, gate } from './gate.ts'
import { type Stage, sameAsBefore, setStage } from './stage.ts'

const activation = { timeout: '60s', confirmWithin: '40s', settle: '1s' }

let stage: Stage
before(async () => {
  stage = await setStage({
    defaults: {
      activation,
      checks: [{ tcp: 22, timeout: '2s' }],
    },
  })
})

test('a file system that cannot be mounted, and the emergency mode that follows, do not end the way back', async (t) => {
  const was = await stage.facts('dave')
  await stage.configure('dave', {
    units: {
      'srv-data.mount': {
        text: '[Unit]\nBefore=local-fs.target\n[Mount]\nWhat=/dev/disk/by-label/missing\nWhere=/srv/data\nType=ext4\nOptions=x-systemd.device-timeout=2s\n',
        requiredBy: ['local-fs.target'],
      },
    },
  })
  const { outcome, code } = await stage.deployHost('dave')
  t.match({ kind: outcome.kind, code }, { kind: 'rolled back', code: 1 }, outcome.reason)
  sameAsBefore(t, was, await stage.facts('dave'))
  t.equal((await stage.inside('dave', 'systemctl is-active multi-user.target sshd.service')).trim(), 'active\nactive')
})

test('a new system without our way to become root is left, and its end is told truly', async (t) => {
  const rule = (text: string) => ({
    deps: ['etc'],
    text: `echo '${text}' > /etc/sudoers.d/zz-last; chmod 440 /etc/sudoers.d/zz-last`,
  })
  await stage.configure('dave', { activationScripts: { rule: rule('# nothing') } })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const was = await stage.facts('dave')
  await stage.configure('dave', { activationScripts: { rule: rule('my_username ALL=(ALL:ALL) ALL') } })
  const { outcome } = await stage.deployHost('dave')
  t.match(outcome, { kind: 'rolled back', reason: /become root/ })
  t.equal(outcome.running, was.running)
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('an old system that cannot be activated again is booted, once', async (t) => {
  // a unit that never stops would hold up the reboot for ever
  const stubborn = {
    script: 'exec sleep 9999',
    serviceConfig: { ExecStop: '/bin/sleep 9999', TimeoutStopSec: 'infinity' },
  }
  // nothing could be switched to after it
  t.teardown(async () => {
    await lab.fresh(['dave'])
    await stage.describeHost('dave', { activation })
  })
  await stage.describeHost('dave', { activation: { ...activation, rebootWithin: '10s' } })
  // /run is empty after a reboot, and nothing else mends it.
  await stage.configure('dave', {
    activationScripts: { aaa: '[ ! -e /run/damage ] || exit 1' },
    services: { stubborn },
  })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const was = await stage.facts('dave')
  const bootId = () => lab.inside('dave', 'cat /proc/sys/kernel/random/boot_id').then(({ stdout }) => stdout)
  const before = await bootId()
  await stage.configure('dave', {
    activationScripts: { damage: 'touch /run/damage' },
    services: { stubborn, broken: { type: 'oneshot', script: 'exit 1' } },
  })
  const { outcome, code } = await stage.deployHost('dave')
  t.equal(code, 1)
  // Who asks before the host is down is told what it will do, who asks later what it has done.
  if (outcome.kind === 'left to roll back')
    t.match(
      outcome.reason,
      /^broken\.service failed; the old system could not be activated again, so the host reboots into it$/,
    )
  else
    t.match(outcome, {
      kind: 'rolled back',
      reason: 'the host restarted before the new system was made permanent',
      running: was.running,
    })
  await seen('dave has rebooted', async () => {
    if (!lab.isOn('dave')) return false
    const now = await bootId().catch(() => '')
    return now !== '' && now !== before
  })
  await lab.powerOn('dave')
  const now = await bootId()
  const is = await stage.facts('dave')
  t.equal(is.booted, was.running)
  sameAsBefore(t, { ...was, booted: is.booted }, is)
  t.match(is.history.slice(was.history.length), [{ outcome: 'rebooting' }])
  t.equal(await bootId(), now, 'once')
})

test('an old system whose checks refuse it by now is gone back to all the same', async (t) => {
  await stage.configure('dave', { preSwitchChecks: { refuse: '[ ! -e /run/refuse ]' } })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const was = await stage.facts('dave')
  const refuse = { activationScripts: { refuse: 'touch /run/refuse' } }
  const reasons: [knobs: Record<string, unknown>, reason: RegExp][] = [
    [{ services: { broken: { type: 'oneshot', script: 'exit 1' } } }, /^broken\.service failed$/],
    [{ switch: { noBootLoader: 'no room in /boot' } }, /boot loader could not be set/],
  ]
  for (const [knobs, reason] of reasons) {
    await stage.configure('dave', { ...refuse, ...knobs })
    const { outcome } = await stage.deployHost('dave')
    t.match(outcome, { kind: 'rolled back', reason })
    sameAsBefore(t, was, await stage.facts('dave'))
    await stage.inside('dave', 'rm /run/refuse')
  }
})

/** A deployment that waits for its confirmation, and whoever began it is gone. */
async function abandoned() {
  await stage.describeHost('dave', {
    activation: { ...activation, confirmWithin: '24s' },
    checks: [gate('dave').check],
  })
  await stage.configure('dave', { motd: 'nobody confirms' })
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await deploying.until(/^dave: verify$/m)
  await deploying.signal('KILL')
  return was
}

test('processes that are killed again and again go back all the same', async (t) => {
  const was = await abandoned()
  await stage.inside('dave', `for turn in $(seq 12); do systemctl kill -s KILL 'deploy-*'; sleep 0.3; done`)
  await eventually('dave', '[ ! -L /run/deploy/lock ]', 60)
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('records that somebody removes do not keep the host on the new system', async (t) => {
  const was = await abandoned()
  await stage.inside('dave', 'rm -rf /run/deploy/2*')
  await eventually('dave', `[ "$(readlink -f /run/current-system)" = ${was.running} ] && [ ! -L /run/deploy/lock ]`, 60)
  const is = await stage.facts('dave')
  sameAsBefore(t, was, is)
  t.match(is.history.at(-1), { outcome: 'rolled back' })
})

test('a host that somebody reboots before the confirmation comes up with the old system', async (t) => {
  const open = gate('dave')
  await stage.describeHost('dave', { activation, checks: [open.check] })
  await stage.configure('dave', { motd: 'rebooted meanwhile' })
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await deploying.until(/^dave: verify$/m)
  await lab.inside('dave', 'systemctl reboot --no-block')
  const { outcomes } = await deploying.finished
  t.match(outcomes['dave'], { kind: 'rolled back', running: was.running })
  await eventually('dave', 'systemctl is-active sshd.service', 60)
  const { booted, leftBehind, ...is } = await stage.facts('dave')
  sameAsBefore(t, was, { ...is, booted: was.booted, leftBehind: [] })
  t.equal(booted, was.running)
  t.ok(
    leftBehind.every((left) => left.startsWith('deploy-')),
    `roots that lead nowhere: ${leftBehind}`,
  )
  await open.open()
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  t.same((await stage.facts('dave')).leftBehind, [])
  await stage.describeHost('dave', { activation, checks: [{ tcp: 22, timeout: '2s' }] })
})

test('a unit that going back cannot mend is named', async (t) => {
  await stage.configure('dave', { services: { base: { script: 'test ! -e /run/damage || exit 1; exec sleep 9999' } } })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const was = await stage.facts('dave')
  await stage.configure('dave', { services: { base: { script: 'touch /run/damage; exit 1' } } })
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'rolled back')
  t.match(outcome.reason, /base\.service failed; still wrong after going back: base\.service failed/)
  t.equal((await stage.facts('dave')).running, was.running)
  await stage.inside('dave', 'rm /run/damage; systemctl reset-failed base; systemctl start base')
})

test('a lock whose deployment vanished without a trace is cleared by the next one', async (t) => {
  await stage.inside(
    'dave',
    'mkdir -p /run/deploy/20260101t000000-aaaaaa; ln -s 20260101t000000-aaaaaa /run/deploy/lock',
  )
  await stage.configure('dave', { motd: 'after a lost lock' })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  t.same((await stage.facts('dave')).leftBehind, [])
})

test('generations and a profile that somebody else made are never taken away', async (t) => {
  await stage.configure('dave', { motd: 'one' })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  await stage.configure('dave', { motd: 'two' })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  await stage.deploy('rollback', 'dave')
  const was = await stage.facts('dave')
  // The newest generation already is what fails to be confirmed.
  await stage.inside('dave', 'nix-env -p /nix/var/nix/profiles/system --switch-generation 1 >&2')
  const profile = await stage.facts('dave')
  await stage.configure('dave', { motd: 'three', switch: { noBootLoader: 'no room in /boot' } })
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'rolled back', outcome.reason)
  t.match(outcome.reason, /boot loader could not be set.*no room in \/boot/)
  const is = await stage.facts('dave')
  t.same(is.generations, was.generations)
  t.equal(is.profile, profile.profile)
  t.equal(is.boot, was.boot)
})

test('Ctrl-C just as the activation begins leaves the host as it was, and says so', async (t) => {
  await stage.inside(
    'dave',
    'nix-env -p /nix/var/nix/profiles/system --switch-generation $(readlink /nix/var/nix/profiles/system-*-link >/dev/null; ls /nix/var/nix/profiles | sed -n "s/system-\\([0-9]*\\)-link/\\1/p" | sort -n | tail -n 1) >&2',
  )
  await stage.configure('dave', { motd: 'settled' })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const was = await stage.facts('dave')
  const begun = gate()
  await stage.configure('dave', { motd: 'interrupted at the worst moment', ...beforeThe('check', begun) })
  const deploying = stage.start('dave')
  await deploying.until(/dave: copy: .*(paths|had)/)
  // The host has taken the lock, and does not answer yet.
  await running('dave', /switch-to-configuration check$/)
  await deploying.signal('INT')
  await deploying.until(/^stopping: /m)
  await begun.open()
  const told = await deploying.finished
  t.equal(told.code, 130)
  const { kind, reason } = told.outcomes['dave'] ?? {}
  t.match(kind, /^(rolled back|untouched)$/)
  t.match(reason, /interrupted/)
  sameAsBefore(t, was, await stage.facts('dave'))
})
