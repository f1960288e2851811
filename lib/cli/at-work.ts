/** Work on hosts, with its progress shown as the terminal allows. */
import type { Report } from '../deployment/event.ts'
import type { Tools } from '../deployment/tools.ts'
import type { Inventory } from '../inventory/inventory.ts'
import { wrapped } from '../screen/width.ts'
import type { ControlMachine } from './control-machine.ts'
import { manyHostsProgress } from './many-hosts-progress.ts'
import { oneHostProgress } from './one-host-progress.ts'
import { plainProgress, warningsOnly } from './plain-progress.ts'
import type { Audience, Progress } from './progress.ts'

export interface Work {
  readonly inventory: Inventory
  /** what progress is shown of */
  readonly hosts: readonly { readonly name: string }[]
  readonly verbose: boolean | undefined
}

const closingMs = 5_000

/** Whatever becomes of the story, the connections are closed and the terminal is left as it was. */
export async function atWork<T>(work: Work, machine: ControlMachine, story: (tools: Tools) => Promise<T>): Promise<T> {
  const { terminal, clock } = machine
  const { isWatched, animates } = terminal
  const hosts = work.hosts.map(({ name }) => name)
  const progress = progressFor({ hosts, isWatched, animates, verbose: work.verbose ?? false })
  const report: Report = (event) => {
    const lines = progress.take(event, clock.monotonic())
    const columns = terminal.err.columns ?? Number.POSITIVE_INFINITY
    // What is cut off a stage or a log doesn't matter; a warning is to be read to its end.
    terminal.err.print(event.kind === 'warning' ? lines.flatMap((line) => wrapped(line, columns, 4)) : lines)
  }
  const live = terminal.live((rows) => progress.frame(clock.monotonic(), rows))
  try {
    const { tools, close } = await machine.open(work.inventory, report)
    try {
      return await story(tools)
    } finally {
      // A connection that doesn't close holds up no result.
      await Promise.race([close(), clock.sleep(closingMs)])
    }
  } finally {
    live.stop()
  }
}

export function progressFor({ hosts, isWatched, animates, verbose }: Audience): Progress {
  if (!animates) {
    return isWatched || verbose ? plainProgress({ logs: verbose }) : warningsOnly()
  }
  return hosts.length === 1 ? oneHostProgress({ verbose }) : manyHostsProgress({ hosts, verbose })
}
