/** A benchmark: one file in cases/, and one line in cases/index.ts. */
import type { Row } from './measure.ts'
import type { Place } from './place.ts'

export interface Bench {
  readonly place: Place
  /** how often each is measured */
  readonly runs: number
  say(line: string): void
}

export interface Case {
  readonly name: string
  readonly summary: string
  run(bench: Bench): Promise<Row[]>
}
