/** What only a machine with its own clock, memory and kernel can show of the faults in test/faults. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { eventually } from '../scenarios/eventually.ts'
import { gate } from '../scenarios/gate.ts'
import { type Facts, sameAsBefore, type Stage } from '../scenarios/stage.ts'
import { consoleLines, printed, setVirtualStage } from './stage.ts'

let stage: Stage

before(async () => {
  stage = await setVirtualStage('pi')
})

const activation = { timeout: '300s', confirmWithin: '240s', settle: '1s' }
const awaiting = () => eventually('pi', "grep -qs '^awaiting' /run/deploy/*/state", 400)
const uptime = async () => Number((await stage.inside('pi', 'cat /proc/uptime')).split(' ')[0])
const setClock = (by: string) => stage.inside('pi', `date -s '${by}'`)

/** Until the host has written down another end. */
const ended = ({ history }: Facts, seconds: number) =>
  eventually(
    'pi',
    `[ "$(wc -l < /var/lib/deploy/history)" -gt ${history.length} ] && [ ! -L /run/deploy/lock ]`,
    seconds,
  )

for (const [jump, back] of [
  ['+1 hour', '-1 hour'],
  ['-1 hour', '+1 hour'],
] as const) {
  test(`the clock jumps by ${jump} before the confirmation: it is given all the same`, async (t) => {
    const open = gate('pi')
    await stage.describeHost('pi', { activation, checks: [open.check] })
    await stage.configure('pi', { motd: `clock ${jump}` })
    const deploying = stage.start('pi')
    await awaiting()
    await setClock(jump)
    await open.open()
    const { outcomes } = await deploying.finished
    await setClock(back)
    t.match(outcomes['pi'], { kind: 'deployed', reason: '' })
    const { running, profile, boot, leftBehind } = await stage.facts('pi')
    t.same([running, profile, boot, leftBehind], [outcomes['pi']?.toplevel, running, running, []])
  })
}

test('the clock jumps while nobody is there: the host goes back when its window is over, no sooner and no later', async (t) => {
  await stage.describeHost('pi', { activation: { ...activation, confirmWithin: '60s' }, checks: [gate('pi').check] })
  await stage.configure('pi', { motd: 'nobody' })
  const was = await stage.facts('pi')
  const deploying = stage.start('pi')
  await awaiting()
  const start = await uptime()
  await deploying.signal('KILL')
  await setClock('+1 hour')
  t.match(await stage.inside('pi', 'cat /run/deploy/*/state'), /^awaiting/, 'the hour was not an hour')
  await setClock('-2 hours')
  await eventually('pi', "! grep -qs '^awaiting' /run/deploy/*/state", 120)
  const waited = (await uptime()) - start
  t.comment(`it waited ${waited} s`)
  t.ok(waited < 90, `${waited} s`)
  await setClock('+1 hour')
  await ended(was, 400)
  sameAsBefore(t, was, await stage.facts('pi'))
})

test('with 512 MB, and something that takes all of it while the host waits: one of the two systems, and the truth', async (t) => {
  await lab.powerOff('pi')
  await lab.powerOn('pi', { memory: 512 * 1024 ** 2 })
  const open = gate('pi')
  await stage.describeHost('pi', { activation, checks: [open.check] })
  await stage.configure('pi', { motd: 'little memory' })
  const was = await stage.facts('pi')
  const deploying = stage.start('pi')
  await awaiting()
  const hog = `systemd-run --quiet --wait --unit=hog perl -e 'my @all; push @all, "x" x 10000000 while 1'`
  await stage.inside('pi', `${hog}; systemctl reset-failed hog; journalctl -k -b | grep -q 'Out of memory'`)
  await open.open()
  const { outcomes } = await deploying.finished
  const outcome = outcomes['pi']
  t.comment(`${outcome?.kind}: ${outcome?.reason}`)
  await ended(was, 600)
  const is = await stage.facts('pi')
  if (outcome?.kind === 'deployed')
    t.same([is.running, is.boot, is.leftBehind], [outcome.toplevel, outcome.toplevel, []])
  else sameAsBefore(t, was, is)
  t.match(is.history.at(-1), { outcome: outcome?.kind })
})

/** As long as it lasts, for whoever reads the test's output. */
const tellOfBoot = (t: Test) => {
  for (const line of consoleLines('pi').filter((each) => /Retrieving|Starting kernel|stage 1|resetting/.test(each)))
    t.comment(line)
}

test('a kernel that does not come up: hands are needed, which is said', async (t) => {
  const limits = { timeout: '60s', confirmWithin: '100s', settle: '1s', rebootWithin: '120s' }
  await stage.describeHost('pi', { activation: limits, checks: [], reboot: 'when-needed' })
  await stage.configure('pi', { kernel: { version: '6.18.9', bytes: 8 << 20 } })
  const { outcome, code } = await stage.deployHost('pi')
  tellOfBoot(t)
  t.match(outcome, { kind: 'needs hands', reason: /has not come back within/ })
  t.comment(outcome.reason, outcome.hints)
  t.equal(code, 3)
  await printed('pi', /Starting kernel/)
})
