/** Which generations went, or would go, and how much that freed. */
import { type Cleaning, cleanedAs, generationsText } from '../deployment/clean.ts'
import { formatBytes } from '../format.ts'
import { bad, good, type Line, quiet, strong } from '../screen/line.ts'
import { wrapped } from '../screen/width.ts'
import type { Room } from './room.ts'
import { shortSystem } from './short-system.ts'

export function cleanLines(name: string, cleaning: Cleaning, room: Room): Line[] {
  const { kind, deleted, left, bytes, result } = cleaning
  const failed = cleanedAs(cleaning) !== undefined
  const amount = bytes === undefined ? '' : formatBytes(bytes)
  const facts =
    kind === 'would clean'
      ? `would delete ${generationsText(deleted.length)}${amount && ` and free about ${amount}`}`
      : `${generationsText(deleted.length)} deleted, ${amount} freed`
  const mark = failed ? bad('✗') : kind === 'cleaned' ? good('✓') : '·'
  const reason = result?.reason ? [`  ${result.reason}`] : []
  const word = result?.end === 'needs-hands' ? [strong('needs hands  ')] : []
  return [
    ...wrapped(
      [mark, ` ${name}  `, ...word, facts, quiet(`, ${left} left`), ...reason],
      room.columns ?? Number.POSITIVE_INFINITY,
      4,
    ),
    ...deleted.map(({ number, time, system }): Line => {
      return [quiet(`    ${number}  ${new Date(time).toISOString().slice(0, 10)}  ${shortSystem(system)}`)]
    }),
  ]
}
