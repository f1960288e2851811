/** What has to hold after every cell, whatever happened in it. */
import type { HostState } from '../../lib/activation/host-state.ts'
import { exitCode, type Outcome } from '../../lib/deployment/outcome.ts'
import type { Facts, Told } from '../scenarios/stage.ts'
import type { Allowance } from './faults.ts'
import { isBefore, reboots, type Stage } from './stages.ts'

/** Everything that a cell has shown. */
export interface Evidence {
  readonly stage: Stage
  readonly allows: Allowance
  readonly was: Facts
  /** by the side door, when nothing of the deployment was under way on the host any more */
  readonly is: Facts
  /** undefined: it never ended */
  readonly told: Told | undefined
  readonly outcome: Outcome | undefined
  /** the host's clock when it had gone back or kept the new system, seconds since 1970 */
  readonly overAt: number
  /** the transaction did not come to an end */
  readonly stuck: string
  /** logging in over the network failed */
  readonly unreachable: string
  /** what `deploy status` says of the host; undefined: it could not look at it */
  readonly status: Pick<HostState, 'running' | 'booted' | 'profile' | 'boot' | 'lock'> | undefined
  /** the toplevel that was asked for */
  readonly asked: string
  /** what the machines still run, or have lying around, because of the deployment */
  readonly traces: readonly string[]
  readonly next: { readonly told: Told; readonly outcome: Outcome | undefined; readonly is: Facts }
}

export type Kind = 'stranded' | 'lie' | 'leftover' | 'next'

export interface Violation {
  readonly kind: Kind
  readonly text: string
}

type Invariant = (evidence: Evidence) => readonly (string | false)[]

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
const short = (path: string) => path.replace(/^\/nix\/store\/(.{8})[^-]*-/, '$1-') || 'nothing'

/** Whether the host may run the new system: it was healthy, and could be confirmed. */
const mayRunNew = ({ stage }: Evidence) => ['deploy', 'rollback', 'reboot'].includes(stage.journey)

const reachable: Invariant = ({ stuck, unreachable }) => [
  stuck !== '' && `the deployment never came to an end: ${stuck}`,
  unreachable !== '' && `nobody can log in: ${unreachable}`,
]

/** What only a reboot leaves on the disk: its records, and a boot loader that names the new system. */
const isFrozen = ({ allows, stage }: Evidence) => allows.frozenDisk === true && reboots(stage.journey)

/** A store that became read-only with the profile one generation ahead keeps it there, and somebody has to be told. */
const keepsProfile = ({ allows, was, is, outcome }: Evidence) =>
  allows.frozenStore === true &&
  outcome?.kind === 'needs hands' &&
  outcome.reason.includes('the system profile stays') &&
  is.running === was.running &&
  is.boot === was.boot &&
  is.profile !== was.profile &&
  Object.values(is.generations).includes(is.profile)

const oneSystem: Invariant = (evidence) => {
  const { was, is, asked, allows } = evidence
  if (is.running === was.running) return []
  if (isFrozen(evidence) && evidence.outcome?.kind === 'needs hands') return []
  if (is.running !== asked || !mayRunNew(evidence)) {
    return [`it runs ${short(is.running)}, neither the old ${short(was.running)} nor a confirmed new system`]
  }
  const last = is.history.at(-1)
  const isWritten = is.history.length > was.history.length && last?.['outcome'] === 'deployed'
  // The line may be lost with the power or the disk, but only of what can have been confirmed.
  const mayBeLost =
    (allows.restart && !isBefore(evidence.stage.part, 'confirmed')) ||
    (allows.noHistory && (!isBefore(evidence.stage.part, 'confirmed') || evidence.outcome?.kind === 'deployed'))
  return [!isWritten && !mayBeLost && 'it runs the new system, and no line of history says that it was confirmed']
}

const agreement: Invariant = (evidence) => {
  const { was, is, allows, stage, outcome } = evidence
  if (isFrozen(evidence) && outcome?.kind === 'needs hands') return []
  if (is.running !== was.running) {
    return [
      is.profile !== is.running && `the profile is ${short(is.profile)}, and ${short(is.running)} runs`,
      is.boot !== is.running && `the next boot runs ${short(is.boot)}, and ${short(is.running)} runs now`,
      !Object.values(is.generations).includes(is.running) && 'what runs is no generation',
      !allows.fewerGenerations && changed('generations', lost(was.generations, is.generations)),
      changed('generations', added(was.generations, is.generations).slice(1)),
      changed('failedUnits', added(was.failedUnits, is.failedUnits)),
      changed('activeUnits', lost(was.activeUnits, is.activeUnits)),
    ]
  }
  // Nothing of ours runs after a power cut: the profile may be one step ahead of the boot entry until the next deployment.
  // What guards a reboot does.
  const cutBetween = allows.restart && !reboots(stage.journey) && stage.part === 'confirmed' && is.boot === was.boot
  const differs = (key: 'profile' | 'boot' | 'generations' | 'bootFiles' | 'activeUnits' | 'failedUnits') =>
    !same(was[key], is[key]) && `${key}: ${difference(was[key], is[key])}`
  /** What was made for the new system, and could not be taken away. */
  const oneMore = () =>
    changed('generations', [
      ...lost(was.generations, is.generations),
      ...added(was.generations, is.generations).slice(1),
    ])
  return [
    !cutBetween && !keepsProfile(evidence) && differs('profile'),
    differs('boot'),
    !cutBetween && !allows.fewerGenerations && (allows.frozenStore ? oneMore() : differs('generations')),
    !Object.values(is.generations).includes(is.running) && 'what runs is no generation',
    !cutBetween && !allows.fewerGenerations && differs('bootFiles'),
    differs('activeUnits'),
    allows.noReload
      ? changed('failedUnits', [
          ...lost(was.failedUnits, is.failedUnits),
          ...added(was.failedUnits, is.failedUnits).filter((unit) => !toldAsFailed(unit, outcome)),
        ])
      : differs('failedUnits'),
  ]
}

/** A unit of the new system that systemd still knows; those that were active before are looked at by themselves. */
const toldAsFailed = (line: string, outcome: Outcome | undefined) =>
  outcome?.reason.includes(`still wrong after going back: ${line.slice(1)} failed`)

type Listed = string | readonly string[] | Readonly<Record<string, string>>

const linesOf = (value: Listed): string[] =>
  typeof value === 'string'
    ? [short(value)]
    : Array.isArray(value)
      ? value.map(String)
      : Object.entries(value).map(([key, each]) => `${key} ${short(String(each))}`)

const lost = (was: Listed, is: Listed): string[] => {
  const lines = linesOf(is)
  return linesOf(was)
    .filter((line) => !lines.includes(line))
    .map((line) => `-${line}`)
}
const added = (was: Listed, is: Listed): string[] => lost(is, was).map((line) => line.replace('-', '+'))
const changed = (what: string, lines: readonly string[]) => lines.length > 0 && `${what}: ${lines.join(' ')}`

const difference = (was: Listed, is: Listed): string => [...lost(was, is), ...added(was, is)].join(' ')

/** Roots that lead to /run, which is empty after a power cut, hold nothing. */
const nothingLeft: Invariant = (evidence) => [
  ...(isFrozen(evidence) ? [] : evidence.is.leftBehind).filter(
    (left) =>
      !(evidence.allows.deadRoots && /^deploy-\d\S+$/.test(left)) &&
      !(
        evidence.allows.noReload &&
        reboots(evidence.stage.journey) &&
        /^unit deploy-\d[^ ]*(?<!-guard)\.service inactive$/.test(left)
      ),
  ),
  ...(isFrozen(evidence) ? [] : evidence.traces).filter(
    (trace) => !(evidence.allows.unfinishedBuilds && /^forge: \/tmp\/nix-build-[^/]*\.drv-\d+$/.test(trace)),
  ),
]

const truth: Invariant = (evidence) => {
  const { was, is, told, outcome, allows, asked, overAt, stage } = evidence
  if (allows.silence) return []
  if (!told) return ['it never ended']
  if (!outcome) return [`it told nothing and ended with ${told.code}: ${told.stderr.trim().split('\n').at(-1)}`]
  const { kind, reason, running } = outcome
  const codes = [exitCode([kind]), ...(allows.interruption ? [130] : [])]
  const isOld = is.running === was.running
  const claims: Record<string, boolean> = {
    deployed: is.running === asked,
    unchanged: is.running === asked,
    'rolled back': isOld,
    untouched: isOld,
    locked: isOld,
    unreachable: isOld,
    interrupted: isOld,
    'needs hands': (allows.hands === true && reboots(stage.journey)) || keepsProfile(evidence),
  }
  const by = /by (\d{4}-\S+Z)/.exec(reason)?.[1]
  return [
    !codes.includes(told.code) && `it said ${kind}, and its exit code is ${told.code}`,
    claims[kind] === false && `it said ${kind}: ${reason}`,
    running !== '' && running !== is.running && `it said that ${short(running)} runs, and ${short(is.running)} does`,
    ...(kind !== 'left to roll back'
      ? []
      : [
          !isOld && !reason.includes('keeps the new system') && `it said ${kind}, and the new system runs`,
          by === undefined && !reason.includes('reboots into it') && `it said ${kind}, but not by when`,
          by !== undefined && overAt * 1000 > Date.parse(by) && `it said ${reason}, and that took longer`,
        ]),
  ]
}

const statusTrue: Invariant = ({ status, is }) => [
  ...(['running', 'booted', 'profile', 'boot'] as const).map(
    (key) =>
      status !== undefined &&
      status[key] !== is[key] &&
      `deploy status says ${key} ${short(status[key])}, and it is ${short(is[key])}`,
  ),
  status === undefined && 'deploy status could not look at the host',
  (status?.lock ?? undefined) !== undefined &&
    is.leftBehind.length === 0 &&
    'deploy status tells of a deployment, and nothing of one is left',
]

const nextWorks: Invariant = ({ next: { told, outcome, is } }) => {
  const said = `${outcome?.kind ?? 'nothing'} (${told.code}): ${outcome?.reason || told.stderr.trim().split('\n').at(-1)}`
  const system = outcome?.toplevel ?? ''
  if (told.code !== 0 || !['deployed', 'unchanged'].includes(outcome?.kind ?? ''))
    return [`the next deployment: ${said}\n${outcome?.detail ?? ''}`]
  return [
    [is.running, is.profile, is.boot].some((each) => each !== system) &&
      `after the next deployment ${[is.running, is.profile, is.boot].map(short).join(', ')} run, are in the profile, boot`,
    outcome?.kind === 'deployed' &&
      is.leftBehind.length > 0 &&
      `after the next deployment: ${is.leftBehind.join(', ')}`,
  ]
}

const invariants: readonly (readonly [Kind, Invariant])[] = [
  ['stranded', reachable],
  ['stranded', oneSystem],
  ['stranded', agreement],
  ['leftover', nothingLeft],
  ['lie', truth],
  ['lie', statusTrue],
  ['next', nextWorks],
]

export const violations = (evidence: Evidence): Violation[] =>
  invariants.flatMap(([kind, invariant]) =>
    invariant(evidence).flatMap((text) => (text === false ? [] : [{ kind, text }])),
  )
