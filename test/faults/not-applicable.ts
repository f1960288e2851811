/** Cells that can't be, and why. */
import type { Fault } from './faults.ts'
import { isBefore, isPast, type Stage } from './stages.ts'

interface Rule {
  readonly faults: readonly string[]
  readonly reason: string
  applies(stage: Stage): boolean
}

const always = () => true

const rules: readonly Rule[] = [
  {
    faults: ['clock an hour ahead', 'clock an hour behind'],
    reason:
      'the machines of the lab share the clock of the computer, which cannot be set (the host counts by /proc/uptime, which nobody can set either)',
    applies: always,
  },
  {
    faults: ['power of the builder cut', "builder's daemon killed"],
    reason: 'no builder takes part in a rollback',
    applies: ({ journey }) => journey === 'rollback',
  },
  {
    faults: ['power of the builder cut', "builder's daemon killed"],
    reason: 'the builder has been let go of',
    applies: ({ part }) => isPast(part, 'begin'),
  },
  {
    faults: ["builder's daemon killed"],
    reason: 'no daemon of the builder works for the deployment yet',
    applies: ({ part }) => part === 'before',
  },
  {
    faults: ['supervisor killed', 'guard killed', 'supervisor and guard killed'],
    reason: 'neither runs yet',
    applies: ({ part }) => isBefore(part, 'activate'),
  },
  {
    faults: ['nix-daemon killed'],
    reason: 'no daemon of the host works for the deployment then',
    applies: ({ part, journey }) => journey === 'rollback' || !['copy', 'begin'].includes(part),
  },
  {
    faults: ['NAR corrupted', 'NAR truncated'],
    reason: 'nothing is copied then',
    applies: ({ part }) => part !== 'copy',
  },
]

/** Undefined: the cell can be. */
export const whyNotApplicable = (stage: Stage, fault: Fault): string | undefined =>
  rules.find(({ faults, applies }) => faults.includes(fault.name) && applies(stage))?.reason
