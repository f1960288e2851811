/** What a host keeps of deployments: their logs, the lock of one that is under way, and what is left of one that died. */
import { before, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { inState } from './eventually.ts'
import { type Stage, sameAsBefore, setStage } from './stage.ts'

const slow = { type: 'oneshot', script: 'echo starting; sleep 4', remainAfterExit: true }

let stage: Stage
before(async () => {
  stage = await setStage({ defaults: { activation: { timeout: '20s', confirmWithin: '14s', settle: '1s' } } })
})

/** The only host of a `--json` answer. */
async function asked(...words: readonly string[]) {
  const { code, stdout, stderr } = await stage.deploy(...words, '--json')
  const answer = JSON.parse(stdout)
  return { code, stderr, ...(answer.hosts?.[0] ?? answer) }
}

test('what the switch printed can be read later, and while it is under way', async (t) => {
  t.match(await asked('log', 'dave'), { code: 1, error: { message: 'the host keeps no log' } })
  await stage.configure('dave', { motd: 'first' })
  const first = (await stage.deployHost('dave')).outcome.deploymentId
  await stage.configure('dave', { motd: 'second', services: { slow } })
  const second = stage.start('dave')
  await inState('dave', 'activating')
  const soFar = await asked('log', 'dave')
  t.match(soFar, { code: 0, underWay: true, lines: [/switch-to-configuration test$/] })
  await second.finished

  const last = await asked('log', 'dave')
  t.match(last, { code: 0, id: soFar.id, underWay: false, entry: { outcome: 'deployed', by: 'ops@control' } })
  t.match(last.lines.join('\n'), /new units were started: slow\.service[\s\S]*switch-to-configuration boot\nexit 0$/)
  t.match(await asked('log', 'dave', first), { code: 0, id: first, lines: [/switch-to-configuration test$/] })
  t.match((await stage.deploy('log', 'dave', first, '--plain')).stdout, `dave  ${first}  deployed`)
  t.match((await stage.deploy('history', 'dave', '--plain')).stdout, first, 'the ids are told')

  const unknown = await asked('log', 'dave', '20260101t000000-aaaaaa')
  t.match(unknown, {
    code: 1,
    error: { message: /keeps no log of a deployment 2026/, hints: [`it has ${last.id}, ${first}`] },
  })
  t.match(await asked('log', 'dave', '../history'), { exitCode: 2, error: { kind: 'usage' } })
  t.match(await asked('log', 'dave', "'$(reboot)'"), { exitCode: 2 })
})

test('a live lock is shown and left alone; called off by force, the host goes back and is free', async (t) => {
  t.match(await asked('unlock', 'dave'), { code: 0, kind: 'not locked', lock: null })
  const was = await stage.facts('dave')
  await stage.configure('dave', { motd: 'hanging', services: { slow: { ...slow, script: 'sleep 15' } } })
  const hanging = stage.start('dave')
  await inState('dave', 'activating')
  const held = await asked('unlock', 'dave')
  t.match(held, { code: 4, kind: 'held', lock: { alive: true, holder: 'ops@control', state: 'activating' } })
  t.match(held.lock, { mode: 'switch', system: /^\/nix\/store\/\S+-nixos-system-dave/ }, 'and what for')
  t.type(held.ageMs, 'number')
  const told = await stage.deploy('unlock', 'dave', '--plain')
  t.match(told, {
    code: 4,
    stdout: /locked {2}by a deployment that is alive: ops@control since .* switch to .*--force/s,
  })
  t.match((await stage.deploy('status', 'dave', '--plain')).stdout, /being deployed by ops@control \(activating\)/)

  const forced = await asked('unlock', 'dave', '--force')
  t.match(forced, { code: 0, kind: 'called off', result: { end: 'rolled-back', reason: 'called off by ops@control' } })
  const { outcomes, code } = await hanging.finished
  t.match(
    { code, outcome: outcomes['dave'] },
    { code: 1, outcome: { kind: 'rolled back', reason: /called off by ops/ } },
  )
  sameAsBefore(t, was, await stage.facts('dave'))
})

/** A deployment whose every process is gone, while it waited for its confirmation. */
async function dead(motd: string): Promise<string> {
  await stage.configure('dave', { motd })
  await stage.describeHost('dave', {
    checks: [{ local: ['sleep', '30'], timeout: '1s' }],
    activation: { confirmWithin: '30s' },
  })
  const deploying = stage.start('dave')
  await inState('dave', 'awaiting')
  await deploying.signal('KILL')
  await deploying.finished
  await stage.inside('dave', "systemctl stop 'deploy-*'")
  await stage.describeHost('dave', { checks: [], activation: {} })
  return (await stage.inside('dave', 'readlink /run/deploy/lock')).trim()
}

test('a dead deployment is told of, and finished instead of forgotten', async (t) => {
  const was = await stage.facts('dave')
  const id = await dead('died')
  const status = await asked('status', 'dave')
  t.match(status, { code: 0, profile: was.profile, boot: was.boot, lock: { id, alive: false, state: 'awaiting' } })
  t.not(status.running, was.running, 'the new system runs')
  t.match((await stage.deploy('status', 'dave', '--plain')).stdout, /interrupted deployment of ops@control .*unlock/s)
  const finished = await asked('unlock', 'dave')
  t.match(finished, { code: 0, kind: 'finished', lock: { id }, result: { end: /rolled-back/, running: was.running } })
  sameAsBefore(t, was, await stage.facts('dave'))
})

const damages: Record<string, string> = {
  'its request is gone and its state is garbage': 'rm $d/request; head -c 3000000 /dev/urandom > $d/state',
  'its request is shell code, its state empty, the lock a directory':
    "echo 'touch /run/evaluated; sleep 999; exit 1' > $d/request; : > $d/state; echo soon > $d/deadline; rm $d/../lock; mkdir $d/../lock",
}
for (const [damage, script] of Object.entries(damages)) {
  test(`a dead deployment is finished although ${damage}`, async (t) => {
    const was = await stage.facts('dave')
    const id = await dead(damage)
    await stage.inside('dave', `d=/run/deploy/${id}; ${script}`)
    t.match(await asked('status', 'dave'), { code: 0, lock: { id, alive: false, state: 'damaged' }, boot: was.boot })
    const finished = await asked('unlock', 'dave')
    t.match(finished, { code: 0, kind: 'finished', result: { end: 'rolled-back', reason: /damaged/ } })
    t.match(await stage.inside('dave', 'ls /run'), /^(?![\s\S]*evaluated)/)
    await stage.inside('dave', 'rm -rf /run/deploy/lock')
    sameAsBefore(t, was, await stage.facts('dave'))
  })
}

test('whatever lies about where the host keeps its records, it is told what runs and can be deployed', async (t) => {
  await stage.inside(
    'dave',
    `cd /run/deploy && rm -rf lock mutex result && mkdir -p lock/x mutex result 20260101t000000-bbbbbb
    head -c 100000 /dev/urandom > 20260101t000000-bbbbbb/request
    h=/var/lib/deploy/history; { cat $h; head -c 5000 /dev/urandom; printf '\n{"outcome":5,"by":{}}\n{"outcome":"half'; } > $h.new; mv $h.new $h`,
  )
  const was = await lab.inside('dave', 'readlink -f /run/current-system')
  t.match(await asked('status', 'dave'), { code: 0, lock: null, running: was.stdout.trim() })
  t.match(await asked('unlock', 'dave'), { code: 0, kind: 'not locked' })
  t.match((await stage.deploy('history', 'dave', '--plain')).stdout, /ops@control.*deployed/)
  await stage.configure('dave', { motd: 'after the mess' })
  const { outcome } = await stage.deployHost('dave')
  t.equal(outcome.kind, 'deployed', outcome.reason)
  t.match((await asked('history', 'dave')).history.at(-1), { id: outcome.deploymentId, outcome: 'deployed' })
  t.match(await asked('log', 'dave'), { code: 0, id: outcome.deploymentId })
})
