/** Where a deployment can be when something happens to it: each is a point at which it is held. */
import type { Point } from './hold.ts'

/** What is asked of `deploy`, and how the new system is. */
export type Journey =
  /** `deploy dave`: a healthy new system */
  | 'deploy'
  /** `deploy dave`: a unit of the new system fails, so that the host goes back */
  | 'unhealthy'
  /** `deploy dave`: healthy, but the boot loader can't be set */
  | 'unbootable'
  /** `deploy rollback dave` */
  | 'rollback'
  /** `deploy dave --reboot`: healthy, with another kernel */
  | 'reboot'
  /** `deploy dave --reboot`: another kernel, and a unit fails after the boot, so that the host boots back */
  | 'return'

export const reboots = (journey: Journey): boolean => journey === 'reboot' || journey === 'return'

/** For the system of that number. */
export type Knobs = (number: number) => Record<string, unknown>

export interface Stage {
  readonly name: string
  readonly journey: Journey
  readonly at: Point
  /** knobs of the lab's flake that it needs (test/lab/flake/README.md) */
  readonly knobs?: Knobs
  /** the part of the deployment that it belongs to: what has begun, and what is over */
  readonly part: Part
}

/** In their order. */
export const parts = ['before', 'build', 'copy', 'begin', 'activate', 'verify', 'confirmed', 'over'] as const
export type Part = (typeof parts)[number]

export const isPast = (part: Part, other: Part): boolean => parts.indexOf(part) > parts.indexOf(other)
export const isBefore = (part: Part, other: Part): boolean => parts.indexOf(part) < parts.indexOf(other)

const onHost = (name: string, content?: string): Point => ({
  machine: 'dave',
  name,
  ...(content === undefined ? {} : { content }),
})
const onBuilder = (name: string): Point => ({ machine: 'forge', name })
/** One path that takes a while, and is of one byte over and over. */
const large: Knobs = (number) => ({ bigPath: 40 + (number % 20) })

const deploy: readonly Omit<Stage, 'journey'>[] = [
  { name: 'preflight', part: 'before', at: onHost('preflight') },
  { name: 'evaluate', part: 'build', at: onBuilder('evaluate') },
  { name: 'build', part: 'build', at: onBuilder('build') },
  { name: 'copy: first path', part: 'copy', at: onHost('copy', 'nix-archive-1') },
  { name: 'copy: middle', part: 'copy', at: onHost('copy', '20000000'), knobs: large },
  // a name that only the NAR of a toplevel has in it
  { name: 'copy: last path', part: 'copy', at: onHost('copy', 'init-interface-version') },
  { name: 'lock taken', part: 'begin', at: onHost('lock') },
  { name: 'state written', part: 'begin', at: onHost('state-ready') },
  { name: 'switch: begins', part: 'activate', at: onHost('state-activating') },
  { name: 'switch: units stopped', part: 'activate', at: onHost('activation-activating') },
  { name: 'switch: units starting', part: 'activate', at: onHost('units-activating') },
  { name: 'switch: over', part: 'activate', at: onHost('switched-activating') },
  { name: 'awaiting confirmation', part: 'verify', at: onHost('state-awaiting') },
  { name: 'checks running', part: 'verify', at: onHost('checks') },
  { name: 'confirm sent', part: 'confirmed', at: onHost('verdict-confirm') },
  { name: 'confirming', part: 'confirmed', at: onHost('state-confirming') },
  { name: 'profile set', part: 'confirmed', at: onHost('sync-profiles') },
  { name: 'boot loader written', part: 'confirmed', at: onHost('switched-confirming') },
  { name: 'history written', part: 'over', at: onHost('sync-history') },
  { name: 'cleaning up', part: 'over', at: onHost('gone') },
]

const back: readonly Omit<Stage, 'journey'>[] = [
  { name: 'back: begins', part: 'confirmed', at: onHost('state-rolling-back') },
  { name: 'back: units stopped', part: 'confirmed', at: onHost('activation-rolling-back') },
  { name: 'back: units starting', part: 'confirmed', at: onHost('units-rolling-back') },
  { name: 'back: switch over', part: 'confirmed', at: onHost('switched-rolling-back') },
  { name: 'back: history written', part: 'over', at: onHost('sync-history') },
  { name: 'back: cleaning up', part: 'over', at: onHost('gone') },
]

/** The first of them are before the boot. */
const withReboot: readonly Omit<Stage, 'journey'>[] = [
  { name: 'reboot: lock taken', part: 'begin', at: onHost('lock') },
  { name: 'reboot: state written', part: 'begin', at: onHost('state-ready') },
  { name: 'reboot: staging', part: 'activate', at: onHost('state-staging') },
  { name: 'reboot: profile set', part: 'activate', at: onHost('sync-profiles') },
  { name: 'reboot: boot loader written', part: 'activate', at: onHost('switched-staging') },
  { name: 'reboot: shutting down', part: 'activate', at: onHost('state-rebooting') },
  { name: 'reboot: awaiting confirmation', part: 'verify', at: onHost('state-awaiting') },
  { name: 'reboot: checks running', part: 'verify', at: onHost('checks') },
  { name: 'reboot: confirm sent', part: 'confirmed', at: onHost('verdict-confirm') },
  { name: 'reboot: confirming', part: 'confirmed', at: onHost('state-confirming') },
  { name: 'reboot: history written', part: 'over', at: onHost('sync-history') },
  { name: 'reboot: cleaning up', part: 'over', at: onHost('gone') },
]
const bootBack: readonly Omit<Stage, 'journey'>[] = [
  { name: 'return: begins', part: 'confirmed', at: onHost('state-rolling-back') },
  { name: 'return: boot loader written', part: 'confirmed', at: onHost('switched-rolling-back') },
  { name: 'return: shutting down', part: 'confirmed', at: onHost('state-returning') },
  { name: 'return: history written', part: 'over', at: onHost('sync-history') },
  { name: 'return: cleaning up', part: 'over', at: onHost('gone') },
]

/** Nothing is evaluated, built or copied. */
const inRollback = ({ name, part }: Omit<Stage, 'journey'>) => name === 'preflight' || !isBefore(part, 'begin')

export const stages: readonly Stage[] = [
  ...deploy.map((stage) => ({ ...stage, journey: 'deploy' as const })),
  ...back.map((stage) => ({ ...stage, journey: 'unhealthy' as const })),
  { name: 'undo: begins', journey: 'unbootable', part: 'confirmed', at: onHost('state-rolling-back') },
  { name: 'undo: profile put back', journey: 'unbootable', part: 'confirmed', at: onHost('profile-put-back') },
  { name: 'undo: switch over', journey: 'unbootable', part: 'confirmed', at: onHost('switched-rolling-back') },
  ...deploy
    .filter(inRollback)
    .map((stage) => ({ ...stage, name: `rollback: ${stage.name}`, journey: 'rollback' as const })),
  ...withReboot.map((stage) => ({ ...stage, journey: 'reboot' as const })),
  ...bootBack.map((stage) => ({ ...stage, journey: 'return' as const })),
]

export const stageNamed = (name: string): Stage => {
  const found = stages.find((stage) => stage.name === name)
  if (!found) throw new Error(`no stage ${name}`)
  return found
}
