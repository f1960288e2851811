/** Progress where nothing can be written over: a log file, a pipe, a terminal that can't move its cursor. */
import { quiet } from '../screen/line.ts'
import { warningLine } from './problem-lines.ts'
import type { Progress } from './progress.ts'

/** Nothing but warnings: what cron mails is worth reading. */
export const warningsOnly = (): Progress => ({
  take: (event) => (event.kind === 'warning' ? [warningLine(event.host, event.text)] : []),
  frame: () => [],
})

/** One line for each stage and each note, and with `logs` for each line that Nix or the switch prints. */
export const plainProgress = ({ logs }: { logs: boolean }): Progress => ({
  take(event) {
    const name = event.host || 'all hosts'
    switch (event.kind) {
      case 'warning':
        return [warningLine(event.host, event.text)]
      case 'stage':
        return [[`${name}: ${event.stage}`]]
      case 'note':
        return [[`${name}: ${event.stage}: ${event.text}`]]
      case 'log':
        return logs ? [[quiet(`${name} │ `), event.line]] : []
      case 'outcome':
        return [[`${name}: ${event.outcome.kind}`]]
      default:
        return []
    }
  },
  frame: () => [],
})
