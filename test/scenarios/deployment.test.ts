/** What a deployment costs and leaves: on three machines, with a good end, with nothing to do, and back again. */
import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { before, type Test, test } from 'tap'
import type { Outcome } from '../../lib/deployment/outcome.ts'
import * as lab from '../lab/lab.mjs'
import { type Facts, sameAsBefore, type Stage, setStage } from './stage.ts'

const megabyte = 2 ** 20
const health = { http: 'http://dave.lab:8080/health', timeout: '5s', interval: '300ms' }
const activation = { timeout: '60s', confirmWithin: '40s', settle: '1s' }

let stage: Stage

before(async () => {
  stage = await setStage({ defaults: { activation, checks: [health] } })
})

/** Deploys the lab's dave with some knobs changed. */
async function deployWith(knobs: Record<string, unknown>, ...words: readonly string[]) {
  await stage.configure('dave', knobs)
  return stage.deployHost('dave', ...words)
}

/** Running system, profile and boot default are the one asked for, and nothing else has been left behind. */
function isPermanent(t: Test, facts: Facts, { toplevel, generation }: Pick<Outcome, 'toplevel' | 'generation'>) {
  const { running, profile, boot, leftBehind, generations } = facts
  t.same(
    { running, profile, boot, leftBehind, generation: generations[String(generation)] },
    { running: toplevel, profile: toplevel, boot: toplevel, leftBehind: [], generation: toplevel },
    'running system, profile, generation and boot default agree',
  )
}

const newest = (facts: Facts) => Math.max(...Object.keys(facts.generations).map(Number))
const megabytes = (bytes: number) => `${Math.round(bytes / megabyte)} MB`

/** What a machine's file systems hold, bytes: its disk and those in memory. */
function heldOnDisk(machine: string): number {
  const sizes = ['/', '/tmp', '/run', '/dev/shm'].map((directory) => {
    const { blocks, bfree, bsize } = statfsSync(join(`/proc/${lab.firstProcess(machine)}/root`, directory))
    return (blocks - bfree) * bsize
  })
  return sizes.reduce((sum, size) => sum + size)
}

/** The most that they hold until `stop`, beyond the start. */
function watchDisk(machine: string): { stop(): number } {
  const start = heldOnDisk(machine)
  let most = start
  const look = () => {
    most = Math.max(most, heldOnDisk(machine))
  }
  const timer = setInterval(look, 20)
  return {
    stop() {
      clearInterval(timer)
      look()
      return most - start
    },
  }
}

test('control, forge and dave are three machines, and a path of 400 MB costs two of them next to nothing', async (t) => {
  const names = ['control', 'forge', 'dave']
  const recordings = await Promise.all(names.map((name) => lab.recordExecutions(name)))
  const disk = watchDisk('control')
  const memory = { control: lab.watchMemory('control'), dave: lab.watchMemory('dave') }
  const { code, outcome } = await deployWith({ motd: 'with a big path', bigPath: 400 })
  const [control, dave] = [memory.control.stop(), memory.dave.stop()]
  const onDisk = disk.stop()
  const [onControl = [], onForge = [], onDave = []] = await Promise.all(recordings.map((each) => each.stop()))
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed' } })
  t.ok(outcome.sentBytes > 400 * megabyte, 'it was sent')

  const ranNix = (processes: typeof onDave) =>
    [...new Set(processes.map(({ command }) => command).filter((command) => /^nix/.test(command)))].sort()
  const ids = (await stage.inside('forge', "getent passwd | awk -F: '$1 ~ /^nixbld/ { print $3 }'")).trim().split('\n')
  const builds = (processes: typeof onDave) => processes.filter(({ user }) => ids.includes(String(user))).length
  t.ok(ranNix(onForge).includes('nix') && builds(onForge) > 0, 'forge evaluates and builds')
  t.same(ranNix(onControl), [], 'no Nix runs on control')
  t.ok(onControl.some(({ command }) => command === 'node'))
  t.same(ranNix(onDave), ['nix-daemon', 'nix-env'], 'dave takes the closure and sets the profile')
  t.equal(builds(onDave), 0, 'and builds nothing')

  t.comment(`dave's memory: ${megabytes(dave.idle)} idle, ${megabytes(dave.peak)} at most`)
  t.ok(dave.peak - dave.idle < 100 * megabyte)
  t.comment(`control's memory: ${megabytes(control.idle)} idle, ${megabytes(control.peak)} at most`)
  t.ok(control.peak - control.idle < 200 * megabyte)
  t.comment(`control's disk: at most ${megabytes(onDisk)} more`)
  t.ok(onDisk < 20 * megabyte, 'the closure never lands on the disk of control')

  const seen = watchDisk('control')
  await lab.inside('control', 'head -c 100M /dev/zero > /home/ops/x')
  t.ok(seen.stop() > 90 * megabyte, 'where a file of 100 MB would be seen')
  await lab.inside('control', 'rm /home/ops/x')
})

test('after a good deployment everything on the host agrees, and its history tells of it', async (t) => {
  const was = await stage.facts('dave')
  const kernel = { version: '6.12.42', size: 110_000 }
  await stage.configure('dave', { motd: 'a good one', kernel, web: { body: 'good' } })
  await stage.onControl('git -C infra -c user.name=ops -c user.email=ops@control.lab commit -qam "a good one"')
  const revision = (await stage.onControl('git -C infra rev-parse HEAD')).trim()
  const { code, outcome } = await stage.deployHost('dave')
  const is = await stage.facts('dave')

  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed', reason: '', running: outcome.toplevel } })
  t.equal(outcome.generation, newest(was) + 1)
  isPermanent(t, is, outcome)
  t.equal(is.booted, was.booted)
  t.not(outcome.toplevel, was.running)
  t.match(outcome.warnings.join('\n'), /^this kernel has not booted on this host yet$/m)
  t.equal(
    await stage.inside('dave', 'cat /etc/motd; cat /boot/nixos/*-linux-6.12.42-Image | tail -n 1'),
    'a good one\nend of kernel\n',
  )
  const [line, ...more] = is.history.slice(was.history.length)
  t.same(more, [])
  t.match(line, {
    by: 'ops@control',
    revision,
    outcome: 'deployed',
    reason: '',
    toplevel: outcome.toplevel,
    previous: was.running,
    generation: `${outcome.generation}`,
    started: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/,
    ended: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/,
    bootId: (await stage.inside('dave', 'cat /proc/sys/kernel/random/boot_id')).trim(),
  })
  const told = JSON.parse((await stage.deploy('history', 'dave', '--json')).stdout)
  t.match(
    told.hosts[0].history.find(({ id }: { id: string }) => id === outcome.deploymentId),
    line,
  )
})

/** What the journal of dave says of a deployment. */
async function journalOf<T>(work: () => Promise<T>) {
  const [, cursor = ''] = (await stage.inside('dave', 'journalctl --sync; journalctl -n 0 --show-cursor'))
    .trim()
    .split('-- cursor: ')
  const result = await work()
  const lines = (await stage.inside('dave', `journalctl --sync; journalctl -o cat --after-cursor '${cursor}'`)).split(
    '\n',
  )
  const ofLogins = /session-|user@|user-runtime-dir|user-\d+\.slice/
  return {
    ...result,
    logins: lines.filter((line) => line.startsWith('Accepted publickey')).length,
    touched: lines.filter((line) => /^(Start|Stopp|Restart|Reload)(ing|ed) /.test(line) && !ofLogins.test(line)),
  }
}

test('deploying the same again is unchanged: nothing is sent, nothing is started, one login, one command', async (t) => {
  const was = await stage.facts('dave')
  const recording = await lab.recordExecutions('dave')
  const again = await journalOf(() => stage.deployHost('dave'))
  const programs = (await recording.stop()).map(({ command }) => command)
  t.match(again, { code: 0, outcome: { kind: 'unchanged', running: was.running, sentPaths: 0, sentBytes: 0 } })
  t.same(again.touched, [])
  t.equal(again.logins, 1)
  t.equal(programs.filter((program) => program === 'sudo').length, 1, 'and one command')
  t.same(
    programs.filter((program) => program.startsWith('nix')),
    [],
    'its store is not even asked',
  )
  sameAsBefore(t, was, await stage.facts('dave'))
  t.equal((await stage.facts('dave')).history.length, was.history.length)
})

/** Deploys what runs already, and sees that only profile or boot loader were touched. */
async function finishes(t: Test, generation: number) {
  const was = await stage.facts('dave')
  const { outcome, code, touched } = await journalOf(() => stage.deployHost('dave'))
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed', sentPaths: 0, generation, running: was.running } })
  isPermanent(t, await stage.facts('dave'), outcome)
  const log = await stage.inside('dave', `cat /var/lib/deploy/log/${outcome.deploymentId}.log`)
  t.same(log.match(/switch-to-configuration \S+/g), ['switch-to-configuration boot'])
  t.ok(touched.length > 0)
  t.same(
    touched.filter((line) => !line.includes(outcome.deploymentId)),
    [],
    'no unit but those of the deployment',
  )
}

test('when only the running system is the one asked for, a deployment finishes the missing steps', async (t) => {
  const was = await stage.facts('dave')
  const trial = await deployWith({ motd: 'on trial' }, '--mode', 'test')
  const is = await stage.facts('dave')
  t.match(trial, { code: 0, outcome: { kind: 'tested', running: trial.outcome.toplevel } })
  t.match(is, { running: trial.outcome.toplevel, profile: was.profile, boot: was.boot, leftBehind: { length: 0 } })
  t.same(is.generations, was.generations)
  t.same(is.bootFiles, was.bootFiles)
  await finishes(t, newest(was) + 1)
})

test('when the boot default alone lags behind, the generation stays', async (t) => {
  await deployWith({ motd: 'set by hand' }, '--mode', 'test')
  await stage.inside('dave', 'nix-env -p /nix/var/nix/profiles/system --set /run/current-system')
  const is = await stage.facts('dave')
  t.equal(is.profile, is.running)
  t.not(is.boot, is.running)
  await finishes(t, newest(is))
})

test('when the profile alone lags behind, it is set', async (t) => {
  const was = await stage.facts('dave')
  await stage.inside('dave', `nix-env -p /nix/var/nix/profiles/system --switch-generation ${newest(was) - 1}`)
  const is = await stage.facts('dave')
  t.not(is.profile, is.running)
  t.equal(is.boot, is.running)
  await finishes(t, newest(was))
})

test('a rollback by hand goes to the system before, or to any generation, through the same transaction', async (t) => {
  const first = (await deployWith({ motd: 'one' })).outcome
  await deployWith({ motd: 'two' })
  const third = (await deployWith({ motd: 'three' })).outcome
  const was = await stage.facts('dave')
  // Nothing is evaluated or built, so the builder isn't needed.
  await lab.linkDown('forge')
  const back = (await stage.deploy('rollback', 'dave')).outcomes['dave']
  const further = (await stage.deploy('rollback', 'dave', '--to', `${first.generation}`)).outcomes['dave']
  await lab.linkUp('forge')
  const is = await stage.facts('dave')

  const second = was.generations[newest(was) - 1]
  t.match(back, { kind: 'deployed', running: second, toplevel: second, generation: newest(was) + 1, sentPaths: 0 })
  t.match(further, { kind: 'deployed', running: first.toplevel, generation: newest(was) + 2 })
  isPermanent(t, is, { toplevel: first.toplevel, generation: newest(was) + 2 })
  t.equal(await stage.inside('dave', 'cat /etc/motd'), 'one\n')
  t.match(is.history.slice(was.history.length), [
    { outcome: 'deployed', previous: third.toplevel, toplevel: second },
    { outcome: 'deployed', previous: second, toplevel: first.toplevel },
  ])

  const nowhere = await stage.deploy('rollback', 'dave', '--to', '4711')
  t.match(nowhere, { code: 1, outcomes: { dave: { kind: 'untouched', reason: 'the host has no generation 4711' } } })
  sameAsBefore(t, is, await stage.facts('dave'))
})

test('a rollback onto a system that is not healthy is rolled back itself', async (t) => {
  await stage.describeHost('dave', { checks: [] })
  const sick = (await deployWith({ motd: 'sick', web: { status: 500 } })).outcome
  await stage.describeHost('dave', { checks: [health] })
  await deployWith({ motd: 'healthy again' })
  const was = await stage.facts('dave')
  const { code, outcomes } = await stage.deploy('rollback', 'dave', '--to', `${sick.generation}`)
  t.match(outcomes['dave'], { kind: 'rolled back', reason: /answered 500/, running: was.running })
  t.equal(code, 1)
  sameAsBefore(t, was, await stage.facts('dave'))
})

test('after a rollback by hand, a deployment that fails returns to what was running', async (t) => {
  const broken = { motd: 'broken', services: { mail: { script: 'exit 1' } } }
  await deployWith({ motd: 'healthy still' })
  t.equal((await stage.deploy('rollback', 'dave')).outcomes['dave']?.kind, 'deployed')
  const was = await stage.facts('dave')
  t.match(await deployWith(broken), { code: 1, outcome: { kind: 'rolled back', running: was.running } })
  sameAsBefore(t, was, await stage.facts('dave'))

  // By somebody else's hands, too: running, but neither in the profile's generation nor the boot default.
  const [oldest] = Object.values(was.generations)
  await stage.inside('dave', `${oldest}/bin/switch-to-configuration test`)
  const theirs = await stage.facts('dave')
  t.not(theirs.running, theirs.profile)
  t.match(await deployWith(broken), { code: 1, outcome: { kind: 'rolled back', running: oldest } })
  sameAsBefore(t, theirs, await stage.facts('dave'))
})

test('a check that runs on control passes, one that only warns fails: deployed, with a warning', async (t) => {
  const checks = [
    { local: ['touch', '/home/ops/checked'], timeout: '2s' },
    { local: ['test', '-e', '/nowhere'], severity: 'warn' },
  ]
  await stage.describeHost('dave', { checks })
  const { outcome, code } = await deployWith({ motd: 'warned of' })
  t.match({ code, kind: outcome.kind, reason: outcome.reason }, { code: 0, kind: 'deployed', reason: '' })
  isPermanent(t, await stage.facts('dave'), outcome)
  t.match(
    outcome.warnings.filter((warning) => warning.includes('local ')),
    [/test -e \/nowhere/],
  )
  await stage.onControl('rm /home/ops/checked')
  t.equal(await stage.inside('dave', 'ls -d /home/ops/checked /nowhere 2> /dev/null || true'), '', 'none ran on dave')
})
