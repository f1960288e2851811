/** Numbers: ours and a peer's, one after the other in turn, so that whatever else the computer does falls on both. */
import type { Took } from './place.ts'

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** One line of the table. What is small is good, unless `more` says otherwise. */
export interface Row {
  readonly name: string
  readonly unit: 'ms' | 'MB' | 'MB/s' | 'turns' | 'connections'
  readonly ours: Summary
  readonly peer?: Summary
  /** who the peer is */
  readonly against?: string
  /** of ours to the peer's, or to the floor where there is no peer; or ours itself */
  readonly ratio: number
  /** what the ratio must not exceed (with `more`: reach) */
  readonly limit?: number
  /** the least that it could be, in the same unit as ours */
  readonly floor?: number
  readonly more?: boolean
}

export const summary = (values: readonly number[]): Summary => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = (sorted.length - 1) / 2
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) }
}

export interface Contender {
  /** Not measured: brings about what is to be changed. */
  prepare?(): Promise<unknown>
  run(): Promise<Took>
}

/** A B A B …; one round more at first, whose result is thrown away when `warm` is set. */
export async function alternate<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  { runs, warm = false }: { runs: number; warm?: boolean },
): Promise<Record<Name, Took[]>> {
  const entries = Object.entries(contenders) as [Name, Contender][]
  const taken = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<Name, Took[]>
  for (let round = warm ? -1 : 0; round < runs; round++) {
    for (const [name, contender] of entries) {
      await contender.prepare?.()
      const took = await contender.run()
      if (round >= 0) taken[name].push(took)
    }
  }
  return taken
}

export const times = (taken: readonly Took[]): Summary => summary(taken.map(({ ms }) => ms))
