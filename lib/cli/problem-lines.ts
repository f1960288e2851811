/** A problem as it is told on standard error: what is wrong, what was printed there, then what to try. */
import type { Problem } from '../problem.ts'
import { bad, careful, type Line } from '../screen/line.ts'
import { detailLines } from './below.ts'

/** `deploy: error: dave: copy: no space left`, then `deploy: hint: …` */
export function problemLines(problem: Problem, options: { verbose: boolean }): Line[] {
  const place = [problem.host, problem.stage].filter((word) => word !== undefined && !problem.message.startsWith(word))
  // All mistakes of an inventory are worth reading, and only the end of a log is.
  const limit = options.verbose || problem.kind === 'usage' ? Number.POSITIVE_INFINITY : 20
  return [
    ['deploy: ', bad('error: '), [...place, problem.message].join(': ')],
    ...detailLines(problem.detail, limit),
    ...problem.hints.map((hint): Line => ['deploy: ', careful('hint: '), hint]),
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
