/** Which cells there are, in which order, and what came of them. */
import type { Stage as Machines } from '../scenarios/stage.ts'
import { freshMachines, runCell } from './cell.ts'
import { type Fault, faults } from './faults.ts'
import type { Kind, Violation } from './invariants.ts'
import { whyNotApplicable } from './not-applicable.ts'
import { type Stage, stages } from './stages.ts'

export interface Cell {
  readonly stage: Stage
  readonly fault: Fault
  readonly notApplicable: string | undefined
}

export interface Ran {
  readonly stage: string
  readonly fault: string
  readonly state: 'green' | 'red' | 'not applicable'
  /** why it is red, or not applicable */
  readonly reasons: readonly string[]
  readonly kinds: readonly Kind[]
  /** what `deploy` said */
  readonly said: string
  readonly seconds: number
}

export interface Choice {
  /** `STAGE / FAULT`, with `*` for anything, or a part of either name; all cells when empty */
  readonly only: readonly string[]
  readonly seed: number
  /** the first of so many parts is 1 */
  readonly shard: readonly [number, number]
}

const everyCell = (): Cell[] =>
  stages.flatMap((stage) => faults.map((fault) => ({ stage, fault, notApplicable: whyNotApplicable(stage, fault) })))

const isMeant = (pattern: string) => {
  const glob = (text: string) =>
    new RegExp(`^${text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 'i')
  return ({ stage, fault }: Cell) => {
    const name = nameOf(stage.name, fault.name)
    return pattern.includes('*') || pattern.includes('/')
      ? glob(pattern).test(name)
      : name.toLowerCase().includes(pattern.toLowerCase())
  }
}

/** Stages have colons in their names. */
export const nameOf = (stage: string, fault: string): string => `${stage} / ${fault}`

/** Shards share cells out evenly, whatever the seed; the seed shuffles. Those that can't be are in every list. */
export function chosenCells({ only, seed, shard: [part, count] }: Choice): Cell[] {
  const meant = everyCell().filter((cell) => only.length === 0 || only.some((pattern) => isMeant(pattern)(cell)))
  const runnable = meant.filter(({ notApplicable }) => notApplicable === undefined)
  const ours = runnable.filter((_, index) => index % count === part - 1)
  return [...meant.filter(({ notApplicable }) => notApplicable !== undefined), ...shuffled(ours, seed)]
}

/** Mulberry32, and Fisher and Yates. Seed 0 leaves the order as it is. */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  const result = [...list]
  if (seed === 0) return result
  let state = seed
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const [a, b] = [result[last], result[other]] as [T, T]
    result[last] = b
    result[other] = a
  }
  return result
}

/** One after the other on the same machines; new disks after a cell that went wrong. */
export async function runCells(cells: readonly Cell[], tell: (ran: Ran) => void): Promise<Ran[]> {
  const all: Ran[] = []
  let machines: Machines | undefined
  for (const { stage, fault, notApplicable } of cells) {
    const started = Date.now()
    let found: readonly Violation[] = []
    let said = ''
    let failure: string | undefined
    if (notApplicable === undefined) {
      try {
        machines ??= await freshMachines()
        const result = await runCell(machines, stage, fault)
        found = result.violations
        said = result.said
        if (!result.usable) machines = undefined
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error)
        machines = undefined
      }
    }
    const reasons = [
      ...(failure === undefined ? [] : [`the cell could not be run: ${failure}`]),
      ...found.map(({ kind, text }) => `${kind}: ${text}`),
    ]
    const ran: Ran = {
      stage: stage.name,
      fault: fault.name,
      state: notApplicable !== undefined ? 'not applicable' : reasons.length > 0 ? 'red' : 'green',
      reasons: notApplicable !== undefined ? [notApplicable] : reasons,
      kinds: [...new Set(found.map(({ kind }) => kind))],
      said,
      seconds: Math.round((Date.now() - started) / 1000),
    }
    all.push(ran)
    tell(ran)
  }
  return all
}
