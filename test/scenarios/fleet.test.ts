/** Many hosts: each has its own story and its own outcome, and nobody waits for another one's trouble. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { eventually, running } from './eventually.ts'
import { gate } from './gate.ts'
import { type Facts, type Stage, sameAsBefore, setStage } from './stage.ts'

const hosts = ['dave', 'erin', 'frank', 'grace'] as const
type Host = (typeof hosts)[number]

let stage: Stage

before(async () => {
  stage = await setStage({ hosts, defaults: { activation: { timeout: '120s', confirmWithin: '60s', settle: '1s' } } })
})

async function configureAll(knobs: Partial<Record<Host, Record<string, unknown>>>, motd: string) {
  for (const host of hosts) await stage.configure(host, { motd, ...knobs[host] })
}

/** How it ended for each host, in the order told, and the last line; without what explains it. */
function summary(stdout: string) {
  const lines = stdout.trimEnd().split('\n')
  const told = lines.filter((line) => !line.startsWith('    '))
  const ends = told.slice(0, -1).map((line) => line.replace(/^\S+ (\S+) +((\S+ )*\S+) {2}.*$/, '$1 $2'))
  return { hosts: ends, totals: told.at(-1) }
}

async function factsOf<T extends Host>(...names: T[]): Promise<Record<T, Facts>> {
  const all = await Promise.all(names.map(async (name) => [name, await stage.facts(name)] as const))
  return Object.fromEntries(all) as Record<T, Facts>
}

function isOn(t: Test, facts: Facts, message: string, before: Facts) {
  t.not(facts.running, before.running, message)
  t.same([facts.profile, facts.boot, facts.leftBehind], [facts.running, facts.running, []])
  t.equal(facts.history.at(-1)?.['outcome'], 'deployed')
}

test('one host is down, one is unhealthy: the others are deployed, and the summary is worst first', async (t) => {
  const was = await factsOf(...hosts)
  await lab.powerOff('grace')
  // Its switch takes longer than all of the others' story.
  const { wait, open } = gate('frank')
  const ill = { type: 'oneshot', script: `${wait}; exit 1`, remainAfterExit: true }
  await configureAll({ frank: { services: { ill } } }, 'first')
  const deploying = stage.start('--all', '--plain', '-v')
  for (const host of ['dave', 'erin']) await deploying.until(new RegExp(`^${host}: deployed`, 'm'))
  await open()
  const told = await deploying.finished
  t.equal(told.code, 1)
  t.same(summary(told.stdout), {
    hosts: ['frank rolled back', 'grace unreachable', 'dave deployed', 'erin deployed'],
    totals: '1 rolled back, 1 unreachable, 2 deployed',
  })
  t.match(told.stdout, /frank +rolled back +ill\.service failed/)
  const is = await factsOf('dave', 'erin', 'frank')
  isOn(t, is.dave, 'dave', was.dave)
  isOn(t, is.erin, 'erin', was.erin)
  sameAsBefore(t, was.frank, is.frank)
  await lab.powerOn('grace')
  sameAsBefore(t, was.grace, await stage.facts('grace'))
})

test('one configuration does not evaluate and one does not build: their hosts are untouched, the others deployed', async (t) => {
  const was = await factsOf(...hosts)
  await configureAll({ dave: { broken: 'dave has no mouse' }, erin: { brokenBuild: 'no cheese' } }, 'second')
  const told = await stage.deploy('--all', '--plain')
  t.equal(told.code, 1)
  t.same(summary(told.stdout), {
    hosts: ['dave untouched', 'erin untouched', 'frank deployed', 'grace deployed'],
    totals: '2 untouched, 2 deployed',
  })
  t.match(told.stdout, 'dave has no mouse')
  t.match(told.stdout, 'no cheese')
  t.notMatch(told.stdout + told.stderr, /^ +at .*\.js/m)
  const is = await factsOf(...hosts)
  sameAsBefore(t, was.dave, is.dave)
  sameAsBefore(t, was.erin, is.erin)
  isOn(t, is.frank, 'frank', was.frank)
  isOn(t, is.grace, 'grace', was.grace)
})

test('a host that hangs, before or after the login, holds up nobody', async (t) => {
  await configureAll({}, 'third')
  const was = await factsOf('frank')
  await lab.linkDown('erin')
  // The answer to the first question that frank is asked takes for ever.
  const { wait, open } = gate('frank')
  await stage.inside(
    'frank',
    `mv /usr/bin/df /usr/bin/df.away && printf '#!/bin/sh\n%s' '${wait}' > /usr/bin/df && chmod +x /usr/bin/df`,
  )
  t.teardown(async () => {
    await lab.linkUp('erin')
    await open()
    await stage.inside('frank', 'mv /usr/bin/df.away /usr/bin/df')
  })
  const deploying = stage.start('--all', '--plain', '-v')
  await running('frank', /^\/bin\/sh \S*\/df /)
  for (const host of ['dave', 'grace']) await deploying.until(new RegExp(`^${host}: deployed`, 'm'))
  t.notMatch(deploying.toldSoFar(), /^frank: (evaluate|build|copy)$/m, 'frank hangs still')
  const told = await deploying.finished
  t.equal(told.code, 1)
  t.same(summary(told.stdout), {
    hosts: ['frank untouched', 'erin unreachable', 'dave deployed', 'grace deployed'],
    totals: '1 untouched, 1 unreachable, 2 deployed',
  })
  t.match(told.stdout, /frank +untouched +.* took longer than 60 s/)
  sameAsBefore(t, was.frank, (await factsOf('frank')).frank)
})

test('a tag deploys the hosts that have it, and no other', async (t) => {
  for (const host of ['dave', 'grace']) await stage.describeHost(host, { tags: ['pi'] })
  await configureAll({}, 'by tag')
  const was = await factsOf(...hosts)
  const told = await stage.deploy('@pi', '--plain')
  t.equal(told.code, 0)
  t.same(summary(told.stdout), { hosts: ['dave deployed', 'grace deployed'], totals: '2 deployed' })
  const is = await factsOf(...hosts)
  for (const host of ['dave', 'grace'] as const) isOn(t, is[host], host, was[host])
  for (const host of ['erin', 'frank'] as const) sameAsBefore(t, was[host], is[host])
})

test('four hosts are evaluated together: the builder runs nix as often as for one', async (t) => {
  const evaluations = async (...words: string[]) => {
    const recording = await lab.recordExecutions('forge')
    const told = await stage.deploy('build', ...words, '--plain')
    const programs = (await recording.stop()).map(({ command }) => command)
    t.equal(told.code, 0)
    t.equal(told.stdout.trim().split('\n').length, words.includes('--all') ? 4 : 1)
    return programs.filter((program) => program === 'nix').length
  }
  await configureAll({}, 'alone')
  const forOne = await evaluations('dave')
  await configureAll({}, 'together')
  t.ok(forOne > 0)
  t.equal(await evaluations('--all'), forOne)
})

test('cron deploys all, one down and one unhealthy: no terminal, no home, nothing but the summary, and the exit code', async (t) => {
  await lab.powerOff('grace')
  await configureAll({ frank: { services: { ill: { type: 'oneshot', script: 'exit 1' } } } }, 'by cron')
  const was = await factsOf('dave', 'erin', 'frank')
  // Once: the line takes itself away.
  const command =
    'crontab -r; env -u HOME deploy --hosts infra/hosts.yaml --all > out 2> err; echo $? > code.new; mv code.new code'
  await stage.onControl('rm -f code; crontab -', `PATH=/usr/local/bin:/usr/bin:/bin\n* * * * * ${command}\n`)
  await eventually('control', '[ -e /home/ops/code ]', 150)
  const [code, out, err] = await Promise.all(['code', 'out', 'err'].map((file) => stage.onControl(`cat ${file}`)))
  t.equal(code, '1\n')
  t.equal(err, '')
  t.notMatch(out, '\u001b')
  t.same(summary(out ?? ''), {
    hosts: ['frank rolled back', 'grace unreachable', 'dave deployed', 'erin deployed'],
    totals: '1 rolled back, 1 unreachable, 2 deployed',
  })
  t.equal(out?.split('\n').filter((line) => line !== '').length, 5, 'a line for each host, and one for all')
  const is = await factsOf('dave', 'erin', 'frank')
  for (const host of ['dave', 'erin'] as const) isOn(t, is[host], host, was[host])
  sameAsBefore(t, was.frank, is.frank)
})
