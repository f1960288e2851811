/** The table for people, and results.json for programs. */
import type { Row, Summary } from './measure.ts'

const holds = ({ ratio, limit, more }: Row) => limit === undefined || (more ? ratio >= limit : ratio <= limit)

const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))
const spread = ({ median, min, max }: Summary) =>
  min === max ? digits(median) : `${digits(median)} (${digits(min)}-${digits(max)})`

/** Lines of a Markdown table. */
export function table(rows: readonly Row[]): string[] {
  const cells = rows.map((row) => [
    row.name,
    `${spread(row.ours)} ${row.unit}`,
    row.peer ? `${spread(row.peer)} ${row.unit}, ${row.against}` : '',
    row.floor === undefined ? '' : `${digits(row.floor)} ${row.unit}`,
    digits(row.ratio),
    row.limit === undefined ? '' : `${row.more ? '>=' : '<='} ${row.limit}`,
    row.limit === undefined ? '' : holds(row) ? 'yes' : 'no',
  ])
  const head = ['case', 'ours', 'peer', 'floor', 'ratio', 'must be', 'holds']
  return [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`)
}

export const results = (rows: readonly Row[]): Record<string, unknown> =>
  Object.fromEntries(
    rows.map(({ name, ours, peer, against, ratio, limit, floor, more, unit }) => [
      name,
      {
        ours: ours.median,
        peer: peer?.median,
        ratio,
        limit,
        floor,
        unit,
        against,
        more,
        spread: { ours: [ours.min, ours.max], ...(peer && { peer: [peer.min, peer.max] }) },
      },
    ]),
  )
