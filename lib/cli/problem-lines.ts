/** A problem as it is told on standard error: what is wrong, what was printed there, then what to try. */
import type { Problem } from '../problem.ts'
import { bad, careful, type Line } from '../screen/line.ts'
import { wrapped } from '../screen/width.ts'
import { detailLines } from './below.ts'
import type { Room } from './room.ts'

/** `deploy: error: dave: copy: no space left`, then `deploy: hint: …` */
export function problemLines(problem: Problem, room: Room): Line[] {
  const columns = room.columns ?? Number.POSITIVE_INFINITY
  const place = [problem.host, problem.stage].filter((word) => word !== undefined && !problem.message.startsWith(word))
  // All mistakes of an inventory are worth reading, and only the end of a log is.
  const limit = room.verbose || problem.kind === 'usage' ? Number.POSITIVE_INFINITY : 20
  return [
    ...wrapped(['deploy: ', bad('error: '), [...place, problem.message].join(': ')], columns, 4),
    ...detailLines(problem.detail, { columns: room.columns, limit }),
    ...problem.hints.flatMap((hint) => wrapped(['deploy: ', careful('hint: '), hint], columns, 4)),
  ]
}

export const warningLine = (host: string, text: string): Line => [
  'deploy: ',
  careful('warning: '),
  host === '' ? text : `${host}: ${text}`,
]

/** The same for `--json`. */
export const problemData = (problem: Problem) => ({
  message: problem.message,
  kind: problem.kind,
  host: problem.host,
  stage: problem.stage,
  detail: problem.detail,
  hints: problem.hints,
})
