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
  /** when that was first told in this stage, milliseconds */
  readonly textSince: number
}

/** From then on it is told how long something has been going on. */
const longMs = 10_000

/** How long the last that was heard of it has been going on, where the time of the stage doesn't say so. */
export const textAge = ({ text, textSince, since }: Doing, now: number): number | undefined =>
  text !== '' && now - textSince >= longMs && textSince - since >= longMs / 10 ? now - textSince : undefined

export interface UnderWay {
  /** In the order in which they began. */
  all(): readonly Doing[]
  /** What the host did before, when this event ended that. */
  take(event: DeploymentEvent, now: number): Doing | undefined
}

/** `''` stands for all hosts at once. */
export function underWay(): UnderWay {
  const doing = new Map<string, Doing>()
  /** When each text was first told, by host. Builds go on while others begin and end. */
  const heard = new Map<string, Map<string, number>>()
  const firstHeard = (host: string, text: string, now: number): number => {
    const times = heard.get(host) ?? new Map<string, number>()
    heard.set(host, times)
    const key = text.replace(/ \(\d+ of \d+\)/, '')
    if (!times.has(key)) times.set(key, now)
    return times.get(key) ?? now
  }
  return {
    all: () => [...doing.values()],
    take(event, now) {
      const { host } = event
      const before = doing.get(host)
      switch (event.kind) {
        case 'stage':
          if (before?.stage === event.stage) return undefined
          heard.delete(host)
          doing.set(host, { host, stage: event.stage, since: now, text: '', isNote: false, textSince: now })
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
            textSince: firstHeard(host, event.text, now),
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
