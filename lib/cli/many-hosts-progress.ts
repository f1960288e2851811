/** Progress of several hosts: how many are done, and one line for each that is being worked on. */
import type { DeploymentEvent } from '../deployment/event.ts'
import { formatDuration } from '../format.ts'
import { stages } from '../problem.ts'
import { good, type Line, quiet } from '../screen/line.ts'
import { padded } from '../screen/width.ts'
import { hostWidth, outcomeLine } from './outcome-lines.ts'
import { warningLine } from './problem-lines.ts'
import type { Audience, Progress } from './progress.ts'
import { type Doing, textAge, underWay } from './under-way.ts'

const everyHost = 'all hosts'
const stageWidth = Math.max(...stages.map((stage) => stage.length))
const order = ({ stage }: Doing) => stages.indexOf(stage)

export function manyHostsProgress({ hosts, verbose }: Pick<Audience, 'hosts' | 'verbose'>): Progress {
  const width = hostWidth(hosts)
  const doing = underWay()
  let done = 0

  const described = (one: Doing, now: number): Line => {
    const { host, stage, since, text } = one
    const age = textAge(one, now)
    return [
      `${padded(host || everyHost, width)}  ${padded(stage, stageWidth)}  `,
      quiet(padded(formatDuration(now - since), 6)),
      ...(text ? [`  ${text}`] : []),
      ...(age === undefined ? [] : [quiet(` ${formatDuration(age)}`)]),
    ]
  }

  return {
    take(event, now) {
      const ended = doing.take(event, now)
      if (event.kind === 'outcome' || (event.kind === 'done' && event.host !== '')) done++
      if (ended?.host === '') return [[good('✓'), ` ${ended.stage} `, quiet(formatDuration(now - ended.since))]]
      return ownLines(event, width, verbose)
    },
    frame(now, rows) {
      const all = doing.all()
      if (all.length === 0 && done === 0) return []
      // What is done for all hosts at once concerns those that wait for it.
      const waits = (one: Doing) => one.host !== '' && order(one) < stages.indexOf('copy')
      const relevant = all.filter((one) => one.host !== '' || all.some(waits) || all.length === 1)
      const room = Math.max(1, rows - 1)
      const cut = relevant.length > room ? room - 1 : room
      const chosen = new Set([...relevant].sort((a, b) => rank(b) - rank(a)).slice(0, cut))
      const rest = relevant.length - chosen.size
      return [
        [`${done}/${hosts.length} done`],
        ...relevant.filter((one) => chosen.has(one)).map((one): Line => ['  ', ...described(one, now)]),
        ...(rest > 0 ? [[quiet(`  … and ${rest} more`)]] : []),
      ]
    },
  }
}

/** Where there is no room for all, those that are furthest are shown, after what is done for everybody. */
const rank = (one: Doing) => (one.host === '' ? stages.length : order(one))

function ownLines(event: DeploymentEvent, width: number, verbose: boolean): Line[] {
  const name = event.host || everyHost
  switch (event.kind) {
    case 'warning':
      return [warningLine(event.host, event.text)]
    case 'outcome':
      return [outcomeLine(event.outcome, width)]
    case 'note':
      return verbose ? [[`${name}: ${event.stage}: ${event.text}`]] : []
    case 'log':
      return verbose ? [[quiet(`${name} │ `), event.line]] : []
    default:
      return []
  }
}
