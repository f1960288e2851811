/** What the doctor found out about one machine, in words: one line, and one for each finding that is not good (with -v, for each). */
import type { Diagnosis } from '../deployment/doctor/doctor.ts'
import type { Finding } from '../deployment/doctor/finding.ts'
import { bad, careful, good, type Line, quiet, strong } from '../screen/line.ts'
import { wrapped } from '../screen/width.ts'
import { below } from './below.ts'
import type { Room } from './room.ts'

const marks = { good: good('✓'), careful: careful('!'), bad: bad('✗') } as const

/** The name stands at the start of the first line, as it is. */
export function doctorLines(name: string, { findings }: Pick<Diagnosis, 'findings'>, room: Room): Line[] {
  const of = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length
  const [problems, warnings] = [of('bad'), of('careful')]
  const count = quiet(`  ${[...counted(problems, 'problem'), ...counted(warnings, 'warning')].join(', ')}`)
  const first: Line =
    problems > 0
      ? [marks.bad, ` ${name}  `, strong('not ready'), count]
      : [marks.good, ` ${name}  ready`, ...(warnings > 0 ? [count] : [])]
  return [
    first,
    ...findings
      .filter(({ level }) => room.verbose || level !== 'good')
      .flatMap((finding) => findingLines(finding, room)),
  ]
}

const counted = (count: number, what: string): string[] =>
  count === 0 ? [] : [`${count} ${what}${count === 1 ? '' : 's'}`]

function findingLines(finding: Finding, room: Room): Line[] {
  const { level, about, text } = finding
  const columns = room.columns ?? Number.POSITIVE_INFINITY
  return [...wrapped(['    ', marks[level], ` ${about}: ${text}`], columns, 6), ...below(finding, room)]
}
