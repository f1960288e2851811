/** Whatever dies on the way: the host ends on the new system, confirmed, or exactly as it was before. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { eventually, frozen, inState, notRunning, over, received, seen } from './eventually.ts'
import { before as beforeThe, gate } from './gate.ts'
import { type Facts, type Running, type Stage, sameAsBefore, setStage } from './stage.ts'

/** No time to settle: what has to happen while a host is verified waits at a gate. */
const activation = { timeout: '60s', confirmWithin: '60s', settle: '0s' }
/** For those whose end has to be waited for: the shortest window that holds a login, a check and the confirmation. */
const impatient = { ...activation, confirmWithin: '18s' }

let stage: Stage
let attempts = 0

before(async () => {
  stage = await setStage({ defaults: { activation } })
})

/** A configuration that the host hasn't had yet. */
async function somethingNew({ big, ...knobs }: Record<string, unknown> = {}, fields: Record<string, unknown> = {}) {
  attempts++
  await stage.describeHost('dave', { activation, checks: [], ...fields })
  await stage.configure('dave', { motd: `attempt ${attempts}`, ...knobs, ...(big ? { bigPath: 200 + attempts } : {}) })
}

/** Both systems are in order and nothing is left; says which one it is. */
function endedWell(t: Test, was: Facts, is: Facts): 'as before' | 'confirmed' {
  t.same(is.leftBehind, [])
  if (is.running === was.running) {
    sameAsBefore(t, was, is)
    return 'as before'
  }
  t.same([is.profile, is.boot], [is.running, is.running], 'what runs is what boots')
  t.same(Object.values(is.generations).filter((system) => system === is.running).length, 1)
  return 'confirmed'
}

/** After a power cut there may be roots that lead to /run, which is empty: they hold nothing. */
async function factsAfterPowerCut(): Promise<Facts> {
  const facts = await stage.facts('dave')
  const found = await stage.inside('dave', "find /nix/var/nix/gcroots/auto -name 'deploy-*' -xtype l -printf '%f\n'")
  const nowhere = found.split('\n')
  return { ...facts, leftBehind: facts.leftBehind.filter((name) => !nowhere.includes(name)) }
}

/** The same configuration once more, with nobody in its way. */
async function nextWorks(t: Test) {
  await stage.describeHost('dave', { activation })
  const { outcome, code } = await stage.deployHost('dave')
  // A deployment that has something to do clears the roots that a power cut left.
  const is = outcome.kind === 'deployed' ? await stage.facts('dave') : await factsAfterPowerCut()
  t.match(outcome, { kind: /^(deployed|unchanged)$/, running: outcome.toplevel })
  t.equal(code, 0)
  t.same([is.running, is.profile, is.boot, is.leftBehind], [outcome.toplevel, outcome.toplevel, outcome.toplevel, []])
  return outcome.kind
}

/** Knobs: a unit of the new system whose start, or whose end, waits at a gate. */
const slowToStart = (wait: string) => ({ slow: { type: 'oneshot', script: wait, remainAfterExit: true } })
const slowToStop = (wait: string) => ({
  slow: { type: 'oneshot', script: 'true', preStop: wait, remainAfterExit: true },
})

const broken = { broken: { type: 'oneshot', script: 'exit 1' } }
const unconfirmed = 'nobody confirmed within 18 s'

interface Moment {
  readonly name: string
  readonly knobs?: Record<string, unknown>
  readonly checks?: readonly Record<string, unknown>[]
  /** why the host goes back when the deployment is killed then; it doesn't where this is left out */
  readonly goesBack?: string
  /** done before the deployment is started */
  prepare?(): Promise<unknown>
  /** until the deployment is in the middle of it; where there is a `release`, it stays there */
  reached(deploying: Running): Promise<unknown>
  release?(): unknown
}

/** Where the builder or the copy is stopped, so that nobody has to be quicker than it. */
function freezing(machine: string, commandLine: RegExp, first: () => Promise<unknown> = async () => {}) {
  let thaw = async () => {}
  return {
    async reached() {
      await first()
      thaw = await frozen(machine, commandLine)
    },
    release: () => thaw(),
  }
}

const moments = {
  preflight: () => ({
    name: 'preflight',
    prepare: () => lab.linkDown('dave'),
    reached: (deploying) => deploying.until(/^dave: preflight$/m),
    release: () => lab.linkUp('dave'),
  }),
  evaluation: () => ({
    name: 'evaluation',
    knobs: { evaluationCost: 2_000_000 },
    ...freezing('forge', /^nix .*eval /),
  }),
  build: () => ({ name: 'build', knobs: { buildSeconds: 4 }, ...freezing('forge', /^sleep 4$/) }),
  copy: () => ({
    name: 'copy',
    knobs: { big: true },
    ...freezing('dave', /nix-daemon --stdio/, () => received('dave', 50e6)),
  }),
  activation: () => {
    const { wait, open } = gate()
    const reached = () => eventually('dave', 'systemctl is-active slow | grep -qx activating')
    const knobs = { services: slowToStart(wait) }
    return { name: 'activation', knobs, goesBack: unconfirmed, reached, release: open }
  },
  verification: () => {
    const { check, open } = gate()
    return {
      name: 'verification',
      checks: [check],
      goesBack: unconfirmed,
      reached: (deploying) => deploying.until(/^dave: verify$/m),
      release: open,
    }
  },
  confirmation: () => ({
    name: 'confirmation',
    goesBack: unconfirmed,
    reached: (deploying) => deploying.until(/^dave: confirm$/m),
  }),
  permanence: () => {
    const there = gate()
    return {
      name: 'setting of profile and boot loader',
      knobs: beforeThe('boot', there),
      reached: () => inState('dave', 'confirming'),
      release: there.open,
    }
  },
  goingBack: () => {
    const { wait, open } = gate()
    return {
      name: 'way back',
      knobs: { services: { ...broken, ...slowToStop(wait) } },
      goesBack: 'broken.service failed',
      reached: () => inState('dave', 'rolling-back'),
      release: open,
    }
  },
} satisfies Record<string, () => Moment>

const ofTheBuilder = /^nix .*eval |nix-daemon --stdio|^sleep 4$/

test('the deployment is killed at any moment, and the host ends confirmed or exactly as before', async (t) => {
  const outcomes: Record<string, string> = {}
  for (const makeMoment of Object.values<() => Moment>(moments)) {
    const { name, knobs, checks, goesBack, prepare, reached, release }: Moment = makeMoment()
    await t.test(`killed during the ${name}`, async (t) => {
      await somethingNew(knobs, { checks: checks ?? [], activation: impatient })
      const was = await stage.facts('dave')
      await prepare?.()
      const deploying = stage.start('dave')
      await reached(deploying)
      await deploying.signal('KILL')
      await release?.()
      await deploying.finished
      await over('dave', stage)
      await notRunning('dave', /nix-daemon --stdio/)
      await notRunning('forge', ofTheBuilder)
      const is = await stage.facts('dave')
      const ended = endedWell(t, was, is)
      outcomes[name] = ended
      const told = is.history.slice(was.history.length).map(({ outcome, reason }) => [outcome, reason])
      if (ended === 'confirmed') t.same(told, [['deployed', '']])
      else t.same(told, goesBack === undefined ? [] : [['rolled back', goesBack]])
      if (goesBack?.startsWith('broken')) await somethingNew()
      t.equal(await nextWorks(t), ended === 'confirmed' ? 'unchanged' : 'deployed')
    })
  }
  const { permanence, confirmation, ...beforehand } = moments
  for (const moment of Object.values(beforehand)) t.equal(outcomes[moment().name], 'as before')
  t.equal(outcomes[permanence().name], 'confirmed')
  t.ok(outcomes[confirmation().name])
})

/** Ctrl-C at that moment, with a person looking on. */
async function interrupted({ knobs, checks, prepare, reached, release }: Moment) {
  await somethingNew(knobs, { checks: checks ?? [] })
  const was = await stage.facts('dave')
  await prepare?.()
  const deploying = stage.start('dave', '--plain', '-v')
  await reached(deploying)
  await deploying.signal('INT')
  await deploying.until(/^stopping: hosts are left safe \(press again to stop waiting\)$/m)
  await release?.()
  return { was, ...(await deploying.finished) }
}

test('Ctrl-C before the activation stops at once and changes nothing', async (t) => {
  for (const makeMoment of [moments.preflight, moments.evaluation, moments.build, moments.copy]) {
    const moment = makeMoment()
    await t.test(`during the ${moment.name}`, async (t) => {
      const { was, code, stdout } = await interrupted(moment)
      t.equal(code, 130)
      t.match(stdout, /^\S+ dave {2}interrupted {2}interrupted before activation; nothing was changed \(/)
      t.equal(/, \d+\.\d MB sent\)/.test(stdout), moment.name === 'copy', 'what was sent is told')
      await notRunning('forge', ofTheBuilder)
      await notRunning('dave', /nix-daemon --stdio/)
      sameAsBefore(t, was, await stage.facts('dave'))
    })
  }
  t.equal(await nextWorks(t), 'deployed')
})

test('Ctrl-C after the activation began makes the host go back, and waits for it', async (t) => {
  for (const makeMoment of [moments.activation, moments.verification]) {
    const moment = makeMoment()
    await t.test(`during the ${moment.name}`, async (t) => {
      const { was, code, stdout } = await interrupted(moment)
      const is = await stage.facts('dave')
      t.equal(code, 130)
      const system = was.running.replace(/.*\/(.{8})[^-]*-/, '$1-')
      t.match(stdout, new RegExp(`^\\S+ dave {2}rolled back {2}interrupted \\(back on generation \\d+, ${system}, `))
      sameAsBefore(t, was, is)
      t.match(is.history.slice(was.history.length), [{ outcome: 'rolled back', reason: 'interrupted' }])
    })
  }
  t.equal(await nextWorks(t), 'deployed')
})

test('Ctrl-C when the confirmation was given already is too late: deployed, confirmed, and told so', async (t) => {
  const { was, code, stdout } = await interrupted(moments.permanence())
  t.equal(code, 130)
  t.match(stdout, /^\S+ dave {2}deployed {2}/)
  const is = await stage.facts('dave')
  t.equal(endedWell(t, was, is), 'confirmed')
  t.match(is.history.slice(was.history.length), [{ outcome: 'deployed', reason: '' }])
  t.equal(await nextWorks(t), 'unchanged')
})

const goesBackBy = /left to roll back {2}interrupted; the host goes back by itself by (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)/

test('Ctrl-C twice leaves at once, says until when the host has gone back, and it does', async (t) => {
  await t.test('while the host is going back already', async (t) => {
    const [verified, stopped] = [gate(), gate()]
    await somethingNew({ services: slowToStop(stopped.wait) }, { checks: [verified.check] })
    const was = await stage.facts('dave')
    const deploying = stage.start('dave', '--plain', '-v')
    await deploying.until(/^dave: verify$/m)
    await deploying.signal('INT')
    await inState('dave', 'rolling-back')
    await deploying.signal('INT')
    const { code, stdout, stderr } = await deploying.finished
    t.match(await stage.inside('dave', 'cat /run/deploy/*/state'), /^rolling-back /, 'nobody waited for it')
    t.equal(code, 130)
    t.match(stderr, 'not waiting any longer (press again to leave at once)')
    t.match(stdout, goesBackBy)
    t.match(stdout, '`deploy status`')
    await stopped.open()
    await over('dave', stage)
    sameAsBefore(t, was, await stage.facts('dave'))
  })

  await t.test('while the host cannot even be told', async (t) => {
    const { check, open } = gate()
    await somethingNew({}, { checks: [check] })
    const was = await stage.facts('dave')
    const deploying = stage.start('dave', '--plain', '-v')
    await deploying.until(/^dave: verify$/m)
    await lab.linkDown('dave')
    await deploying.signal('INT')
    await deploying.until(/^stopping: /m)
    await deploying.signal('INT')
    const { code, stdout } = await deploying.finished
    const state = await stage.inside('dave', 'cat /run/deploy/*/state')
    t.equal(code, 130)
    const [, until = ''] = goesBackBy.exec(stdout) ?? []
    t.match(state, /^awaiting/, 'it still waits for a confirmation')
    await over('dave', stage)
    await lab.linkUp('dave')
    const is = await stage.facts('dave')
    sameAsBefore(t, was, is)
    t.match(is.history.at(-1), { outcome: 'rolled back', reason: 'nobody confirmed within 60 s' })
    t.ok(Date.parse(is.history.at(-1)?.['ended'] ?? '') <= Date.parse(`${until}Z`), 'no later than it was said')
    await open()
  })
  t.equal(await nextWorks(t), 'deployed')
})

test('what the deployment runs on the host is killed or stopped, and the deployment comes to its end all the same', async (t) => {
  const killed = "systemctl kill -s KILL 'deploy-*'"
  const stopped = "systemctl stop 'deploy-*'"
  const cases = [
    {
      when: 'activating',
      script: killed,
      outcome: { kind: 'rolled back', reason: 'the process that watched the switch was killed' },
    },
    { when: 'awaiting', script: killed, outcome: { kind: 'deployed', reason: '' } },
    { when: 'confirming', script: killed, outcome: { kind: 'deployed', reason: '' } },
    { when: 'rolling-back', script: killed, outcome: { kind: 'rolled back', reason: 'broken.service failed' } },
    { when: 'awaiting', script: stopped, outcome: { kind: 'deployed', reason: '' } },
  ] as const
  for (const { when, script, outcome } of cases) {
    await t.test(`${script} while it is ${when}`, async (t) => {
      const held = gate()
      const knobs = {
        activating: { services: slowToStart(held.wait) },
        awaiting: {},
        confirming: beforeThe('boot', held),
        'rolling-back': { services: { ...broken, ...slowToStop(held.wait) } },
      }[when]
      await somethingNew(knobs, { checks: when === 'awaiting' ? [held.check] : [] })
      const was = await stage.facts('dave')
      const deploying = stage.start('dave')
      await inState('dave', when)
      if (when === 'activating') await eventually('dave', 'systemctl is-active slow | grep -qx activating')
      await stage.inside('dave', script)
      await held.open()
      const { outcomes } = await deploying.finished
      t.match(outcomes['dave'], outcome)
      t.equal(endedWell(t, was, await stage.facts('dave')), outcome.kind === 'deployed' ? 'confirmed' : 'as before')
    })
  }
})

test('a supervisor that hangs is replaced when the guard has no patience left', async (t) => {
  const { check, open } = gate()
  await somethingNew({}, { checks: [check] })
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await inState('dave', 'awaiting')
  const unit = '$(basename "$(readlink /run/deploy/lock)")'
  const pid = `systemctl show -P MainPID deploy-${unit}.service`
  const hung = (await stage.inside('dave', `systemctl kill -s STOP deploy-${unit}.service; ${pid}`)).trim()
  // Its patience is minutes; without the clock that it waits by, it is over now.
  await seen('the guard waits', () => {
    const clocks = lab.hostProcesses('dave').filter(({ argv }) => /^flock -w [1-9]\d\d 8$/.test(argv.join(' ')))
    for (const { pid } of clocks) process.kill(pid, 'SIGKILL')
    return clocks.length > 0
  })
  await eventually('dave', `[ "$(${pid})" != ${hung} ]`)
  await open()
  const { outcomes, code } = await deploying.finished
  t.match({ code, outcome: outcomes['dave'] }, { code: 0, outcome: { kind: 'deployed', reason: '' } })
  t.equal(endedWell(t, was, await stage.facts('dave')), 'confirmed')
})

test('the power fails between activation and confirmation: the host boots what ran before', async (t) => {
  const kernel = (version: string) => ({ kernel: { version, size: 3_000_000 } })
  const { check, open } = gate()
  await somethingNew(kernel('7.0.1'), { checks: [check] })
  const was = await stage.facts('dave')
  const deploying = stage.start('dave')
  await deploying.until(/^dave: verify$/m)
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  t.match(lab.bootOf('dave'), { kind: 'nixos', init: `${was.running}/init` })
  const { code, outcomes } = await deploying.finished
  t.match(outcomes['dave'], {
    kind: 'rolled back',
    reason: 'the host restarted before the new system was made permanent',
  })
  t.equal(code, 1)
  const is = await factsAfterPowerCut()
  t.same({ ...is, booted: was.booted }, { ...was, history: is.history })
  t.equal(is.booted, was.running)
  await open()
  t.equal(await nextWorks(t), 'deployed')

  // Right after the confirmation, with nobody having waited for anything to be written back.
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  const now = await factsAfterPowerCut()
  t.not(now.running, was.running)
  t.match(lab.bootOf('dave'), { kind: 'nixos', init: `${now.running}/init` })
  t.same([now.booted, now.profile, now.boot, now.leftBehind], [now.running, now.running, now.running, []])
  t.equal(now.history.at(-1)?.['outcome'], 'deployed')
  t.equal(await nextWorks(t), 'unchanged')
})

test('the power fails while profile and boot loader are being set: one of the two systems boots', async (t) => {
  const halfway = gate()
  const cases = {
    'when the profile is set and the boot loader is not': {
      knobs: beforeThe('boot', halfway),
      reached: () => eventually('dave', 'grep -qs "switch-to-configuration boot" /run/deploy/*/log'),
    },
    'at any moment of it': { knobs: {}, reached: (deploying: Running) => deploying.until(/^dave: confirm$/m) },
  }
  let version = 0
  for (const [name, { knobs, reached }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      version++
      await somethingNew({ ...knobs, kernel: { version: `7.1.${version}`, size: 3_000_000 } })
      const was = await stage.facts('dave')
      const deploying = stage.start('dave')
      await reached(deploying)
      await lab.powerCut('dave')
      await lab.powerOn('dave')
      const { code, outcomes } = await deploying.finished
      const is = await factsAfterPowerCut()
      const asked = outcomes['dave']?.toplevel ?? ''
      t.ok([was.running, asked].includes(is.running), is.running)
      t.equal(is.boot, is.running)
      t.same(is.leftBehind, [])
      t.ok(outcomes['dave']?.kind === 'deployed' ? is.running === asked && code === 0 : code !== 0, 'the truth is told')
      await halfway.open()
      await nextWorks(t)
      await lab.powerCut('dave')
      await lab.powerOn('dave')
      t.equal((await stage.facts('dave')).running, asked)
    })
  }
})

test('the power fails in the middle of a copy: the next deployment works, and the store is whole', async (t) => {
  await somethingNew({ big: true })
  const was = await factsAfterPowerCut()
  const deploying = stage.start('dave')
  await received('dave', 60e6)
  await frozen('dave', /nix-daemon --stdio/)
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  const { code, outcomes } = await deploying.finished
  t.match(outcomes['dave'], { kind: 'unreachable' })
  t.equal(code, 4)
  const is = await factsAfterPowerCut()
  t.same({ ...is, booted: was.booted }, was)
  t.equal(await nextWorks(t), 'deployed')
  const { code: verified, stderr } = await lab.inside('dave', 'nix-store --verify --check-contents')
  t.equal(verified, 0)
  t.notMatch(stderr, /error|modified|disappeared/)
})
