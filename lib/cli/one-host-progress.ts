/** Progress of one host: its stages, one below the other, as they end. */
import type { DeploymentEvent } from '../deployment/event.ts'
import { formatDuration } from '../format.ts'
import { exitCode } from '../deployment/outcome.ts'
import { bad, good, type Line, quiet } from '../screen/line.ts'
import { warningLine } from './problem-lines.ts'
import type { Audience, Progress } from './progress.ts'
import { type Doing, textAge, underWay } from './under-way.ts'

export function oneHostProgress({ verbose }: Pick<Audience, 'verbose'>): Progress {
  const doing = underWay()
  return {
    take(event, now) {
      const ended = doing.take(event, now)
      // What it did last says nothing once it is done.
      const line = ended && described({ ...ended, text: '' }, now)
      const lines = line ? [[wentWell(ended, event) ? good('✓') : bad('✗'), ' ', ...line]] : []
      return [...lines, ...ownLines(event, verbose)]
    },
    frame: (now) => doing.all().map((one) => described(one, now)),
  }
}

function described(doing: Doing, now: number): Line {
  const { stage, since, text, isNote } = doing
  const age = textAge(doing, now)
  return [
    `${stage} `,
    quiet(formatDuration(now - since)),
    ...(text && !isNote ? [`  ${text}`] : []),
    ...(age === undefined || isNote ? [] : [quiet(` ${formatDuration(age)}`)]),
  ]
}

/** A stage that ended in a roll back failed; so did the last one before a bad outcome, unless it was to roll back. */
function wentWell(ended: Doing, event: DeploymentEvent): boolean {
  if (event.kind === 'stage') return event.stage !== 'roll back'
  if (event.kind !== 'outcome') return true
  return exitCode([event.outcome.kind]) === 0 || (ended.stage === 'roll back' && event.outcome.kind === 'rolled back')
}

function ownLines(event: DeploymentEvent, verbose: boolean): Line[] {
  if (event.kind === 'warning') return [warningLine(event.host, event.text)]
  if (event.kind === 'note') return [[`  ${event.text}`]]
  if (event.kind === 'log' && verbose) return [[quiet(`${event.host || 'all hosts'} │ `), event.line]]
  return []
}
