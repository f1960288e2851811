/** The summary of a deployment: one line a host, worst first, and what explains it below. */

import { exitCode, type Outcome, outcomeKinds } from '../deployment/outcome.ts'
import { formatBytes, formatDuration } from '../format.ts'
import { bad, careful, good, type Line, quiet, type Span, strong } from '../screen/line.ts'
import { lineWidth, padded, widthOf, wrapped } from '../screen/width.ts'
import { below } from './below.ts'
import type { Room } from './room.ts'
import { shortSystem } from './short-system.ts'

/** The first column of a table of hosts. */
export const hostWidth = (hosts: readonly string[]): number => Math.max(4, ...hosts.map(widthOf))

const kindWidth = Math.max(...outcomeKinds.map((kind) => kind.length))
const isGood = ({ kind }: Outcome) => exitCode([kind]) === 0

/** One host on one line, however long. */
export function outcomeLine(outcome: Outcome, width = widthOf(outcome.host), kinds = outcome.kind.length): Line {
  return [...head(outcome, width, kinds), ...tail(outcome)]
}

function head(outcome: Outcome, width: number, kinds: number): Line {
  const tone = isGood(outcome) ? good : outcome.kind === 'locked' || outcome.kind === 'unreachable' ? careful : bad
  const kind = padded(outcome.kind, kinds)
  return [tone(isGood(outcome) ? '✓' : '✗'), ` ${padded(outcome.host, width)}  `, isGood(outcome) ? kind : strong(kind)]
}

const sent = ({ sentBytes, sparedBytes }: Outcome): string =>
  sparedBytes > 0
    ? `${formatBytes(sentBytes - sparedBytes)} sent for ${formatBytes(sentBytes)}`
    : `${formatBytes(sentBytes)} sent`

function tail(outcome: Outcome): Span[] {
  const system = [
    outcome.generation === undefined ? '' : `generation ${outcome.generation}`,
    shortSystem(outcome.running),
  ]
  const runs = system.filter((fact) => fact !== '').join(', ')
  const facts = [
    runs && outcome.kind === 'rolled back' ? `back on ${runs}` : runs,
    formatDuration(outcome.milliseconds),
    outcome.sentBytes > 0 ? sent(outcome) : '',
  ].filter((fact) => fact !== '')
  return outcome.reason ? [`  ${outcome.reason}`, quiet(` (${facts.join(', ')})`)] : [quiet(`  ${facts.join(', ')}`)]
}

export function summaryLines(outcomes: readonly Outcome[], room: Room): Line[] {
  const width = hostWidth(outcomes.map(({ host }) => host))
  const kinds = Math.min(kindWidth, Math.max(...outcomes.map(({ kind }) => kind.length)))
  const explained = new Map<string, string>()
  const lines = outcomes.flatMap((outcome): Line[] => {
    const explanation = JSON.stringify([outcome.detail, outcome.hints])
    const same = explained.get(explanation)
    explained.set(explanation, same ?? outcome.host)
    const isTold = same !== undefined && (outcome.detail !== '' || outcome.hints.length > 0)
    return [
      ...hostLines(outcome, { width, kinds, room }),
      ...(isTold ? [[quiet(`    as for ${same}`)]] : below(outcome, room)),
    ]
  })
  if (outcomes.length === 1) return lines
  return [...lines, ...wrapped([quiet(totals(outcomes))], room.columns ?? Number.POSITIVE_INFINITY, 2)]
}

/** A reason for failure that doesn't fit goes on below; what went well is cut. */
function hostLines(outcome: Outcome, place: { width: number; kinds: number; room: Room }): Line[] {
  const line = outcomeLine(outcome, place.width, place.kinds)
  const { columns } = place.room
  if (columns === undefined || isGood(outcome) || lineWidth(line) <= columns) return [line]
  const indent = lineWidth(head(outcome, place.width, place.kinds)) + 2
  return wrapped(line, columns, columns - indent >= 30 ? indent : 4)
}

/** `1 rolled back, 1 unreachable, 2 deployed` */
function totals(outcomes: readonly Outcome[]): string {
  return outcomeKinds
    .map((kind) => ({ kind, count: outcomes.filter((outcome) => outcome.kind === kind).length }))
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${count} ${kind}`)
    .join(', ')
}
