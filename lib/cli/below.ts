/** What explains a failure, below its line: what was printed there, then what to try. */
import { careful, type Line, quiet } from '../screen/line.ts'
import { wrapped } from '../screen/width.ts'
import type { Room } from './outcome-lines.ts'

export interface Explained {
  /** What Nix or the host printed; several lines, or empty. */
  readonly detail: string
  readonly hints: readonly string[]
}

const shownLines = 20

export function below({ detail, hints }: Explained, room: Room): Line[] {
  return [
    ...detailLines(detail, room.verbose ? Number.POSITIVE_INFINITY : shownLines),
    ...hints.flatMap((hint) =>
      wrapped(['    ', careful('hint: '), hint], room.columns ?? Number.POSITIVE_INFINITY, 10),
    ),
  ]
}

/** The last lines, since that is where Nix and systemd say what went wrong. */
export function detailLines(detail: string, limit: number): Line[] {
  const lines = detail.replace(/\s+$/, '').split('\n')
  if (lines.length === 1 && lines[0] === '') return []
  const hidden = Math.max(0, lines.length - limit)
  const shown = lines.slice(hidden).map((line): Line => [quiet('    │ '), line])
  return hidden === 0 ? shown : [[quiet(`    … ${hidden} lines more; -v shows them`)], ...shown]
}
