/** What each host is doing at this moment. */
import type { DeploymentEvent } from '../deployment/event.ts'
import type { Stage } from '../problem.ts'

export interface Doing {
  readonly host: string
  readonly stage: Stage
  /** when the stage began, milliseconds */
  readonly since: number
  /** the last that was heard of it */
  readonly text: string
  /** that was a note, which may have a line of its own */
  readonly isNote: boolean
}

export interface UnderWay {
  /** In the order in which they began. */
  all(): readonly Doing[]
  /** What the host did before, when this event ended that. */
  take(event: DeploymentEvent, now: number): Doing | undefined
}

/** `''` stands for all hosts at once. */
export function underWay(): UnderWay {
  const doing = new Map<string, Doing>()
  return {
    all: () => [...doing.values()],
    take(event, now) {
      const { host } = event
      const before = doing.get(host)
      switch (event.kind) {
        case 'stage':
          if (before?.stage === event.stage) return undefined
          doing.set(host, { host, stage: event.stage, since: now, text: '', isNote: false })
          return before
        case 'progress':
        case 'note':
          // A builder that works for this host already is no news while the host is still in an earlier stage.
          if (before && before.stage !== event.stage) return undefined
          doing.set(host, {
            host,
            stage: event.stage,
            since: before?.since ?? now,
            text: event.text,
            isNote: event.kind === 'note',
          })
          return undefined
        case 'outcome':
        case 'done':
          doing.delete(host)
          return before
        default:
          return undefined
      }
    },
  }
}
