/** From events to what is shown while work goes on. Pure: events and times in, lines out. */
import type { DeploymentEvent } from '../deployment/event.ts'
import type { Line } from '../screen/line.ts'

export interface Progress {
  /** Takes one event, at that time in milliseconds; gives the lines that are printed for good. */
  take(event: DeploymentEvent, now: number): Line[]
  /** What is under way, in at most that many lines. */
  frame(now: number, rows: number): Line[]
}

export interface Audience {
  /** the hosts that are worked on */
  readonly hosts: readonly string[]
  /** a person looks at it */
  readonly isWatched: boolean
  /** lines can be written over */
  readonly animates: boolean
  readonly verbose: boolean
}
