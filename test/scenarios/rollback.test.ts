/** A host that isn't healthy after the switch goes back to what ran before, and says why. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { sameAsBefore, type Stage, setStage } from './stage.ts'

const web = 'http://dave.lab:8080/health'
/** Checks are tried until the window closes, so it is short. */
const activation = { timeout: '30s', confirmWithin: '20s', settle: '0s' }
/** For what ends well: a busy computer may take its time. */
const patient = { timeout: '60s', confirmWithin: '60s', settle: '0s' }
/** For a switch that hangs. */
const short = { timeout: '12s' }
const healthCheck = (check: Record<string, unknown>) => ({ ...check, timeout: '1s', interval: '300ms' })

let stage: Stage

/** What dave runs when all is well, and goes back to. `backup` succeeds until /var/backup-is-broken is there. */
const healthy = {
  motd: 'healthy',
  etc: { ready: 'yes\n' },
  services: { backup: { type: 'oneshot', script: '[ ! -e /var/backup-is-broken ]' } },
}

before(async () => {
  stage = await setStage({ defaults: { activation: patient } })
  await stage.configure('dave', healthy)
  const { code, stderr } = await stage.deployHost('dave')
  if (code !== 0) throw new Error(stderr)
})

interface Sick {
  readonly knobs?: Record<string, unknown>
  readonly services?: Record<string, unknown>
  readonly checks?: readonly Record<string, unknown>[]
  readonly activation?: Record<string, unknown>
}

/** Deploys a system that must not stay, and sees that nothing of it does. */
async function goesBack(t: Test, sick: Sick, reason: RegExp) {
  await stage.describeHost('dave', {
    checks: (sick.checks ?? []).map(healthCheck),
    activation: { ...activation, ...sick.activation },
  })
  const services = { ...healthy.services, ...sick.services }
  await stage.configure('dave', { ...healthy, motd: t.name, ...sick.knobs, services })
  const was = await stage.facts('dave')
  const told = await stage.deployHost('dave')
  const is = await stage.facts('dave')

  const generation = Math.max(...Object.keys(was.generations).map(Number))
  const { outcome } = told
  t.comment(outcome.reason)
  t.match(outcome, { kind: 'rolled back', reason, running: was.running, generation })
  t.notMatch(outcome.reason, /\n/, 'one line')
  t.equal(told.code, 1)
  t.not(outcome.toplevel, was.running)
  sameAsBefore(t, was, is)
  t.match(is.history.slice(was.history.length), [
    { outcome: 'rolled back', reason, toplevel: outcome.toplevel, previous: was.running, generation: `${generation}` },
  ])
  return told
}

const isAsleep = (seconds: string) => lab.hostProcesses('dave').some(({ argv }) => argv.includes(seconds))

test('the activation script fails', async (t) => {
  await goesBack(t, { knobs: { activationScripts: { mail: 'ls /nowhere' } } }, /activation script/)
})

test('the activation script ends before its time', async (t) => {
  await goesBack(t, { knobs: { activationScripts: { aaa: 'exit 3' } } }, /activation script/)
})

test('the activation script hangs', async (t) => {
  await goesBack(t, { knobs: { activationScripts: { mail: 'sleep 3601' } }, activation: short }, /longer than 12 s/)
  t.notOk(isAsleep('3601'), 'it is gone')
})

test('the switch hangs: it starts a unit that never becomes ready', async (t) => {
  const migration = { type: 'oneshot', script: 'sleep 3602' }
  await goesBack(t, { services: { migration }, activation: short }, /longer than 12 s/)
  t.notOk(isAsleep('3602'), 'it is gone')
})

test('a unit fails newly', async (t) => {
  await goesBack(t, { services: { mail: { script: 'exit 1' } } }, /^mail\.service failed/)
})

test('a unit passes, then crash-loops within the settle time and never shows as failed', async (t) => {
  const mail = { script: 'sleep 3; exit 1', restart: 'always', restartSec: 5 }
  const sick = { services: { mail }, activation: { confirmWithin: '30s', settle: '9s' } }
  await goesBack(t, sick, /^mail\.service (keeps restarting|was restarted)/)
})

test('an http check returns 500, and only the service that changed was ever stopped', async (t) => {
  const others = 'systemctl show --property=InvocationID ticker sshd nix-daemon.socket multi-user.target'
  const were = await stage.inside('dave', others)
  const sick = { knobs: { web: { status: 500 } }, checks: [{ tcp: 8080 }, { http: web }] }
  await goesBack(t, sick, /^http http:\/\/dave\.lab:8080\/health: answered 500/)
  t.equal(await stage.inside('dave', others), were)
})

test('a tcp check is refused', async (t) => {
  const sick = { knobs: { web: { port: 8081 } }, checks: [{ tcp: 8080 }] }
  await goesBack(t, sick, /8080.*refused/)
})

test('a command check fails', async (t) => {
  const sick = { knobs: { etc: { ready: 'no\n' } }, checks: [{ command: ['grep', 'yes', '/etc/ready'] }] }
  await goesBack(t, sick, /^command grep yes \/etc\/ready: exited with 1/)
})

test('the checks time out', async (t) => {
  const checks = [{ tcp: 8080 }, { http: web }, { command: ['sleep', '3604'] }]
  const sick = { knobs: { web: { hangs: true } }, checks }
  await goesBack(t, sick, /^http http:\/\/dave\.lab:8080\/health: no answer within 1s/)
  t.notOk(isAsleep('3604'), 'the tries are gone')
})

test('the new system stops sshd', async (t) => {
  await goesBack(t, { knobs: { sshd: { enable: false } } }, /login/)
})

test('the new system drops the network', async (t) => {
  await goesBack(t, { knobs: { network: { enable: false } } }, /out of reach|nobody confirmed/)
})

test('a unit that was failing before is no reason to go back, although the switch exits 4', async (t) => {
  await stage.describeHost('dave', { checks: [healthCheck({ http: web })], activation: patient })
  await lab.inside('dave', 'touch /var/backup-is-broken; systemctl start backup')
  const was = await stage.facts('dave')
  t.same(was.failedUnits, ['backup.service'])
  await stage.configure('dave', { ...healthy, motd: 'in spite of the backup' })
  const { code, outcome } = await stage.deployHost('dave')
  const is = await stage.facts('dave')
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed', running: is.profile, reason: '' } })
  t.match(await stage.inside('dave', `cat /var/lib/deploy/log/${outcome.deploymentId}.log`), /^exit 4$/m)
  t.match(is, {
    running: outcome.toplevel,
    profile: outcome.toplevel,
    boot: outcome.toplevel,
    leftBehind: { length: 0 },
  })
  t.same(is.failedUnits, ['backup.service'])
})

test('a wanted unit stays down because its dependency failed, and shows as merely inactive', async (t) => {
  const archive = { requires: ['backup.service'], after: ['backup.service'], script: 'sleep 3603' }
  await goesBack(t, { services: { archive } }, /^archive\.service was not started, although it is wanted/)
})
