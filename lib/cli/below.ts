/** What explains a failure, below its line: what was printed there, then what to try. */
import { careful, type Line, quiet } from '../screen/line.ts'
import { printable } from '../screen/paint.ts'
import { widthOf, wrapped } from '../screen/width.ts'
import type { Room } from './room.ts'

export interface Explained {
  /** What Nix or the host printed; several lines, or empty. */
  readonly detail: string
  readonly hints: readonly string[]
}

const shownLines = 20
const bar = '    │ '

export function below({ detail, hints }: Explained, room: Room): Line[] {
  return [
    ...detailLines(detail, { columns: room.columns, limit: room.verbose ? Number.POSITIVE_INFINITY : shownLines }),
    ...hints.flatMap((hint) =>
      wrapped(['    ', careful('hint: '), hint], room.columns ?? Number.POSITIVE_INFINITY, 10),
    ),
  ]
}

/** The last lines, since that is where Nix and systemd say what went wrong. */
export function detailLines(detail: string, room: { columns: number | undefined; limit: number }): Line[] {
  const { limit, columns = Number.POSITIVE_INFINITY } = room

  const lines = detail.replace(/\s+$/, '').split('\n')
  if (lines.length === 1 && lines[0] === '') return []
  const hidden = Math.max(0, lines.length - limit)
  const shown = lines
    .slice(hidden)
    .flatMap((line) => wrapped([printable(line)], columns - widthOf(bar), 2).map((part): Line => [quiet(bar), ...part]))
  return hidden === 0 ? shown : [[quiet(`    … ${hidden} lines more; -v shows them`)], ...shown]
}
