/** The main job on the machine that it is for: 64-bit ARM with 1 GB, built elsewhere, booted by U-Boot. */
import { before, type Test, test } from 'tap'
import { sameAsBefore, type Stage } from '../scenarios/stage.ts'
import { megabytes, powerCycle, setVirtualStage, watchMemory } from './stage.ts'

let stage: Stage

before(async () => {
  stage = await setVirtualStage('pi')
})

/** What runs is what boots, and nothing is left. */
async function isConfirmed(t: Test, system: string) {
  const { running, profile, boot, leftBehind } = await stage.facts('pi')
  t.same([running, profile, boot, leftBehind], [system, system, system, []])
}

test('a deployment: built for ARM on x86, and 100 MB larger, with little memory of the host', async (t) => {
  await stage.configure('pi', {
    motd: 'two',
    bigPath: 100,
    programs: { hello: 'echo hello from $(uname -m)' },
  })
  const memory = await watchMemory(stage)
  const { outcome, code, stderr } = await stage.deployHost('pi')
  const { idle, peak, total } = await memory.stop()
  t.comment(
    `memory of ${megabytes(total)}: ${megabytes(idle)} before, at most ${megabytes(peak)}; ${Math.round(outcome.milliseconds / 1000)} s`,
  )
  t.equal(code, 0, stderr)
  t.equal(outcome.kind, 'deployed')
  t.ok(peak - idle < 150 * 1024 ** 2, megabytes(peak - idle))
  await isConfirmed(t, outcome.toplevel)
  t.equal(await stage.inside('pi', 'hello'), 'hello from aarch64\n')
})

test('an unhealthy one goes back', async (t) => {
  const was = await stage.facts('pi')
  await stage.configure('pi', { motd: 'bad', services: { crasher: { script: 'sleep 1; exit 3', restart: 'always' } } })
  const { outcome, code } = await stage.deployHost('pi')
  t.comment(outcome.reason)
  t.equal(code, 1)
  t.match(outcome, { kind: 'rolled back', running: was.running })
  sameAsBefore(t, was, await stage.facts('pi'))
})

test('a rollback by hand, which the next boot agrees with', async (t) => {
  const before = await stage.facts('pi')
  const { outcomes, code, stderr } = await stage.deploy('rollback', 'pi')
  const running = outcomes['pi']?.running ?? ''
  t.equal(code, 0, stderr)
  t.match(outcomes, { pi: { kind: 'deployed' } })
  t.not(running, before.running)
  await isConfirmed(t, running)
  await powerCycle('pi')
  const is = await stage.facts('pi')
  t.same([is.booted, is.running], [running, running])
})

test('a host of another architecture is refused before anything is copied', async (t) => {
  await stage.describeHost('pi', { system: 'x86_64-linux' })
  const was = await stage.facts('pi')
  const { outcome, code } = await stage.deployHost('pi')
  t.equal(code, 1)
  t.match(outcome, { kind: 'untouched', reason: /^the host is aarch64, but hosts.yaml says x86_64-linux$/ })
  sameAsBefore(t, was, await stage.facts('pi'))
  await stage.describeHost('pi', { system: 'aarch64-linux' })
})
