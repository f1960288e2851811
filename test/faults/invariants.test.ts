/** Every invariant can turn red: what a cell shows is made up here, sound at first, then with one thing wrong. */
import { test } from 'tap'
import { exitCode, type Outcome, type OutcomeKind } from '../../lib/deployment/outcome.ts'
import type { Facts } from '../scenarios/stage.ts'
import { type Allowance, faultNamed } from './faults.ts'
import { type Evidence, violations } from './invariants.ts'
import { stageNamed } from './stages.ts'

const system = (letter: string) => `/nix/store/${letter.repeat(32)}-nixos-system-dave`
const [old, next, other] = [system('a'), system('b'), system('c')]

const facts = (running: string, over: Partial<Facts> = {}): Facts => ({
  running,
  booted: old,
  profile: running,
  boot: running,
  generations: running === old ? { 1: old } : { 1: old, 2: running },
  bootFiles: ['1 /boot/nixos/kernel'],
  activeUnits: ['sshd.service'],
  failedUnits: [],
  leftBehind: [],
  history: running === old ? [] : [{ outcome: 'deployed' }],
  ...over,
})

function told(kind: OutcomeKind, over: Partial<Outcome> = {}) {
  const running = kind === 'deployed' ? next : old
  const outcome = { kind, reason: '', running, toplevel: next, detail: '', ...over } as Outcome
  return { code: exitCode([kind]), stdout: '', stderr: '', outcomes: { dave: outcome } }
}

function evidence(kind: OutcomeKind, over: Partial<Evidence> = {}): Evidence {
  const said = told(kind)
  const is = over.is ?? facts(kind === 'deployed' ? next : old)
  const { running, booted, profile, boot } = is
  return {
    stage: stageNamed('switch: units starting'),
    allows: {},
    was: facts(old),
    is,
    status: { running, booted, profile, boot, lock: undefined },
    told: said,
    outcome: said.outcomes.dave,
    overAt: 0,
    stuck: '',
    unreachable: '',
    asked: next,
    traces: [],
    next: { told: told('deployed'), outcome: told('deployed').outcomes.dave, is: facts(next) },
    ...over,
  }
}

const kinds = (of: Evidence) => [...new Set(violations(of).map(({ kind }) => kind))]

test('what is sound is green', async (t) => {
  t.same(violations(evidence('deployed')), [])
  t.same(violations(evidence('rolled back')), [])
})

test('a new system without a confirmation is red, also after a power cut or with a full disk', async (t) => {
  const unconfirmed = { is: facts(next, { history: [] }), ...said('deployed') }
  const cut: Allowance = faultNamed('power of the host cut').allows ?? {}
  const full: Allowance = faultNamed('disk full').allows ?? {}
  t.same(kinds(evidence('deployed', unconfirmed)), ['stranded'])
  for (const name of ['switch: units starting', 'awaiting confirmation', 'reboot: awaiting confirmation'])
    t.same(kinds(evidence('deployed', { ...unconfirmed, stage: stageNamed(name), allows: cut })), ['stranded'], name)
  t.same(kinds(evidence('deployed', { ...unconfirmed, stage: stageNamed('profile set'), allows: cut })), [])
  t.same(
    kinds(evidence('deployed', { ...unconfirmed, ...said('rolled back'), allows: full })),
    ['stranded', 'lie'],
    'a full disk keeps the line of history, and no more',
  )
  t.same(kinds(evidence('deployed', { is: facts(next), stage: stageNamed('back: begins') })), ['stranded'])
})

test('units that systemd alone still knows are green with a full /run, where they are told, and no unit file is', async (t) => {
  const allows: Allowance = faultNamed('/run full').allows ?? {}
  const failed = {
    is: facts(old, { failedUnits: ['broken.service'] }),
    allows,
    stage: stageNamed('back: units stopped'),
  }
  const told = said('rolled back', {
    reason: 'broken.service failed; still wrong after going back: broken.service failed',
  })
  t.same(kinds(evidence('rolled back', { ...failed, ...told })), [])
  t.same(kinds(evidence('rolled back', failed)), ['stranded'])
  t.same(kinds(evidence('rolled back', { ...failed, ...told, allows: {} })), ['stranded'])
  const left = (name: string) => ({
    is: facts(next, { leftBehind: [name] }),
    allows,
    stage: stageNamed('reboot: confirming'),
  })
  t.same(kinds(evidence('deployed', left('unit deploy-20261127t054928-2c74d3.service inactive'))), [])
  for (const unit of [
    'deploy-20261127t054928-2c74d3.service active',
    'deploy-20261127t054928-2c74d3-guard.service inactive',
  ])
    t.same(kinds(evidence('deployed', left(`unit ${unit}`))), ['leftover'], unit)
  t.same(kinds(evidence('deployed', left('/etc/systemd/system.control/deploy-20261127t054928-2c74d3.service'))), [
    'leftover',
  ])
})

test('a profile that a read-only disk keeps ahead is green only where it is told, and nothing else is wrong', async (t) => {
  const allows: Allowance = faultNamed('whole disk read-only').allows ?? {}
  const root: Allowance = faultNamed('root file system read-only').allows ?? {}
  const told = said('needs hands', {
    reason: 'no loader; and going back failed: the system profile stays at system-2-link',
  })
  const ahead = { is: facts(old, { profile: next, generations: { 1: old, 2: next } }), ...told, allows }
  t.same(kinds(evidence('rolled back', ahead)), [])
  t.same(kinds(evidence('rolled back', { ...ahead, allows: root })), ['stranded', 'lie'])
  t.same(kinds(evidence('rolled back', { ...ahead, ...said('rolled back') })), ['stranded'])
  t.same(kinds(evidence('rolled back', { ...ahead, is: facts(old, { profile: next, boot: next }) })), [
    'stranded',
    'lie',
  ])
  t.same(kinds(evidence('rolled back', { ...ahead, is: facts(old) })), ['lie'])
  const { is } = ahead
  for (const over of [{ profile: '' }, { bootFiles: [] }, { generations: { 2: next } }])
    t.not(kinds(evidence('rolled back', { ...ahead, is: { ...is, ...over } })).length, 0, JSON.stringify(over))
  const more = (...numbers: number[]) =>
    facts(old, { generations: { 1: old, ...Object.fromEntries(numbers.map((number) => [number, next])) } })
  t.same(kinds(evidence('rolled back', { is: more(2), allows })), [], 'a generation that could not be taken away')
  t.same(kinds(evidence('rolled back', { is: more(2, 3), allows })), ['stranded'])
})

const said = (kind: OutcomeKind, over: Partial<Outcome> = {}) => ({
  told: told(kind, over),
  outcome: told(kind, over).outcomes.dave,
})

const wrong: Record<string, [OutcomeKind, Partial<Evidence>, string]> = {
  'it never ends': ['rolled back', { stuck: 'awaiting' }, 'stranded'],
  'nobody can log in': ['rolled back', { unreachable: 'refused' }, 'stranded'],
  'a third system runs': [
    'rolled back',
    {
      is: facts(other),
      ...said('needs hands', { running: other }),
      allows: { hands: true },
      stage: stageNamed('return: begins'),
    },
    'stranded',
  ],
  'the profile is ahead': ['rolled back', { is: facts(old, { profile: next }) }, 'stranded'],
  'the boot entry is ahead': ['rolled back', { is: facts(old, { boot: next }) }, 'stranded'],
  'a generation more': ['rolled back', { is: facts(old, { generations: { 1: old, 2: next } }) }, 'stranded'],
  'boot files changed': ['rolled back', { is: facts(old, { bootFiles: [] }) }, 'stranded'],
  'a unit is down': ['rolled back', { is: facts(old, { activeUnits: [] }) }, 'stranded'],
  'a unit failed': ['rolled back', { is: facts(old, { failedUnits: ['a.service'] }) }, 'stranded'],
  'the profile is behind': ['deployed', { is: facts(next, { profile: old }) }, 'stranded'],
  'the boot entry is behind': ['deployed', { is: facts(next, { boot: old }) }, 'stranded'],
  'the old generation is lost': ['deployed', { is: facts(next, { generations: { 2: next } }) }, 'stranded'],
  'two generations more': ['deployed', { is: facts(next, { generations: { 1: old, 2: next, 3: next } }) }, 'stranded'],
  'a unit of the new system failed': ['deployed', { is: facts(next, { failedUnits: ['a.service'] }) }, 'stranded'],
  'a unit went down': ['deployed', { is: facts(next, { activeUnits: [] }) }, 'stranded'],
  'a lock is left': ['deployed', { is: facts(next, { leftBehind: ['/run/deploy/lock'] }) }, 'leftover'],
  'a process is left': ['deployed', { traces: ['sh'] }, 'leftover'],
  'the outcome is wrong': ['rolled back', said('deployed', { running: old }), 'lie'],
  'the running system is wrong': ['rolled back', said('rolled back', { running: next }), 'lie'],
  'the exit code is wrong': ['rolled back', { told: { ...told('rolled back'), code: 0 } }, 'lie'],
  'status says something else': ['rolled back', { status: { ...facts(next), lock: undefined } }, 'lie'],
  'status could not look': ['rolled back', { status: undefined }, 'lie'],
  'nothing was told': ['rolled back', { told: undefined, outcome: undefined }, 'lie'],
  'it took longer than it said': [
    'rolled back',
    { overAt: 2e9, ...said('left to roll back', { reason: 'goes back by 2026-01-01T00:00:00Z', running: '' }) },
    'lie',
  ],
  'the next deployment fails': [
    'rolled back',
    { next: { told: told('untouched'), outcome: told('untouched').outcomes.dave, is: facts(old) } },
    'next',
  ],
  'the next deployment leaves something': [
    'rolled back',
    { next: { ...evidence('deployed').next, is: facts(next, { leftBehind: ['/run/deploy/lock'] }) } },
    'next',
  ],
}
for (const [title, [kind, over, expected]] of Object.entries(wrong)) {
  test(`red: ${title}`, async (t) => {
    t.same(kinds(evidence(kind, over)), [expected])
  })
}
