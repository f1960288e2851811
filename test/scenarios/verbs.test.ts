/** Every verb and every mode, as a user types them, on real machines. */
import { before, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { type Stage, sameAsBefore, setStage } from './stage.ts'

let stage: Stage
before(async () => {
  stage = await setStage()
})

test('plan and build touch no host', async (t) => {
  await stage.configure('dave', { motd: 'planned' })
  const was = await stage.facts('dave')
  const planned = JSON.parse((await stage.deploy('plan', 'dave', '--json')).stdout)
  t.match(planned, { exitCode: 0, hosts: [{ host: 'dave', state: { running: was.running, profile: was.profile } }] })
  const systems = planned.hosts[0].toBuild.filter((path: string) => /-nixos-system-dave-\S+\.drv$/.test(path))
  t.same(systems, [planned.hosts[0].derivation], 'the system is among what is to be built')
  const built = await stage.deploy('build', 'dave', '--plain')
  t.match(built, { code: 0, stdout: /^\/nix\/store\/\w{32}-nixos-system-dave-\S+\n$/ }, 'the path alone is the result')
  const again = JSON.parse((await stage.deploy('plan', 'dave', '--json')).stdout)
  t.match(again, { exitCode: 0, hosts: [{ host: 'dave', derivation: planned.hosts[0].derivation }] })
  t.same(again.hosts[0].toBuild, [], 'it is built already')
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('--mode dry-activate says what a switch would do, and does nothing', async (t) => {
  await stage.configure('dave', { motd: 'planned', web: { port: 8080, status: 204 } })
  const was = await stage.facts('dave')
  const told = await stage.deploy('dave', '--mode', 'dry-activate', '--plain', '-v')
  t.equal(told.code, 0)
  t.match(`${told.stdout}${told.stderr}`, /would .*web\.service/)
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('--mode boot changes what the next boot runs, and nothing else; the next boot runs it', async (t) => {
  await stage.configure('dave', { motd: 'staged' })
  const was = await stage.facts('dave')
  const { outcome, code } = await stage.deployHost('dave', '--mode', 'boot')
  t.match({ kind: outcome.kind, code }, { kind: 'staged', code: 0 })
  const is = await stage.facts('dave')
  t.equal(is.running, was.running)
  t.equal(is.profile, outcome.toplevel)
  t.equal(is.boot, outcome.toplevel)
  t.same(is.leftBehind, [])
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  t.equal((await stage.facts('dave')).running, outcome.toplevel)
  t.equal((await stage.deployHost('dave')).outcome.kind, 'unchanged')
})

test('--mode test runs the new system until the next boot', async (t) => {
  await stage.configure('dave', { motd: 'tested' })
  const was = await stage.facts('dave')
  const { outcome } = await stage.deployHost('dave', '--mode', 'test')
  t.equal(outcome.kind, 'tested')
  const is = await stage.facts('dave')
  t.equal(is.running, outcome.toplevel)
  t.equal(is.profile, was.profile)
  t.equal(is.boot, was.boot)
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  t.equal((await stage.facts('dave')).running, was.running)
})

test('a switch inhibitor refuses a live switch, leaves the host alone, and proposes a reboot', async (t) => {
  await stage.configure('dave', { motd: 'to be inhibited', switchInhibitors: { dbus: 'dbus' } })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  await stage.configure('dave', { motd: 'inhibited', switchInhibitors: { dbus: 'broker' } })
  const was = await stage.facts('dave')
  const { outcome, code } = await stage.deployHost('dave')
  t.match({ kind: outcome.kind, code }, { kind: 'untouched', code: 1 })
  t.match(outcome.reason, /pre-switch checks/)
  t.match(outcome.hints, ['try `deploy --reboot`'])
  sameAsBefore(t, was, await stage.facts('dave'))
  t.equal((await stage.deployHost('dave', '--mode', 'boot')).outcome.kind, 'staged')
})

test('a system that needs a reboot is not switched to: the host stays as it is, and a reboot is proposed', async (t) => {
  await stage.configure('dave', { motd: 'another init', initInterface: 'systemd 3' })
  const was = await stage.facts('dave')
  const { outcome, code } = await stage.deployHost('dave')
  t.match({ kind: outcome.kind, code }, { kind: 'rolled back', code: 1 })
  t.match(outcome.reason, /reboot/)
  t.match(outcome.hints, ['try `deploy --reboot`'])
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('a change of the settings of systemd itself is deployed, although systemd starts anew meanwhile', async (t) => {
  await stage.configure('dave', { motd: 'patient', systemd: { settings: { DefaultTimeoutStopSec: '47s' } } })
  const { outcome, code } = await stage.deployHost('dave')
  t.match({ kind: outcome.kind, code, reason: outcome.reason }, { kind: 'deployed', code: 0, reason: '' })
  const is = await stage.facts('dave')
  t.same([is.running, is.profile, is.boot], [outcome.toplevel, outcome.toplevel, outcome.toplevel])
  t.same(is.leftBehind, [])
  t.equal(await stage.inside('dave', 'systemctl show -P DefaultTimeoutStopUSec'), '47s\n')
  const log = await stage.inside('dave', `cat /var/lib/deploy/log/${outcome.deploymentId}.log`)
  t.match(log, /^restarting systemd\.\.\.$/m)
})

test('an older release that has no action check is deployed all the same', async (t) => {
  await stage.configure('dave', { motd: 'older', switch: { actions: ['switch', 'boot', 'test', 'dry-activate'] } })
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'deployed', outcome.reason)
})

test('a host that would evaluate by itself is warned of', async (t) => {
  await stage.configure('dave', {
    motd: 'upgrading',
    units: {
      'nixos-upgrade.timer': { text: '[Timer]\nOnCalendar=yearly\nUnit=ticker.service\n', wantedBy: ['timers.target'] },
    },
  })
  t.equal((await stage.deployHost('dave')).outcome.kind, 'deployed')
  const { outcome } = await stage.deployHost('dave')
  t.match(outcome.warnings.join('\n'), /nixos-upgrade\.timer is active.*evaluates on the host/)
})

test('status, generations and history tell the truth, in words and as JSON', async (t) => {
  const facts = await stage.facts('dave')
  const status = JSON.parse((await stage.deploy('status', 'dave', '--json')).stdout)
  t.match(status, {
    exitCode: 0,
    hosts: [{ host: 'dave', running: facts.running, profile: facts.profile, boot: facts.boot }],
  })
  t.match((await stage.deploy('status', 'dave', '--plain')).stdout, /agree/)
  const generations = JSON.parse((await stage.deploy('generations', 'dave', '--json')).stdout)
  const listed = generations.hosts[0].generations.map((one: { number: number; system: string }) => [
    String(one.number),
    one.system,
  ])
  t.same(Object.fromEntries(listed), facts.generations)
  const history = JSON.parse((await stage.deploy('history', 'dave', '--json')).stdout)
  t.equal(history.hosts[0].history.length, facts.history.length)
  t.match((await stage.deploy('history', 'dave', '--plain')).stdout, /ops@control.*deployed/)
})

test('check runs the health checks of the host as it is now', async (t) => {
  await stage.describeHost('dave', { checks: [{ unit: 'web' }, { command: ['test', '-e', '/run/ready'] }] })
  const ill = await stage.deploy('check', 'dave', '--plain')
  t.equal(ill.code, 1)
  t.match(ill.stdout, /test -e \/run\/ready/)
  await stage.inside('dave', 'touch /run/ready')
  t.equal((await stage.deploy('check', 'dave', '--plain')).code, 0)
  await stage.describeHost('dave', { checks: [] })
})

test('what is no host is refused before any work, with what was probably meant', async (t) => {
  for (const [words, wanted] of [
    [['rolback', 'dave'], /did you mean (the verb )?rollback/],
    [['dvae'], /did you mean dave/],
    [['@pis'], /pis/],
    [[], /host/],
  ] as const) {
    const told = await stage.deploy(...words, '--plain')
    t.equal(told.code, 2, words.join(' '))
    t.match(told.stderr, wanted)
    t.equal(told.stdout, '')
    t.notMatch(told.stderr, /\.(js|ts):\d+/, 'no stack trace')
  }
})

test('away from a terminal only the summary is printed, one line a host', async (t) => {
  await stage.configure('dave', { motd: 'no timer any more' })
  await stage.deployHost('dave')
  await stage.configure('dave', { motd: 'quiet' })
  const told = await stage.deploy('dave', '--plain')
  t.equal(told.stderr.replace(/^pid \d+\n/, ''), '')
  t.match(told.stdout, /^. dave +deployed .*\n$/)
})
