/** Lines that move at the bottom of the terminal. The only file that uses ora: one, since several get in each other's way. */
import type { Ora } from 'ora'
import type { Live } from '../screen/terminal.ts'

export interface LiveOptions {
  readonly stream: NodeJS.WriteStream
  readonly colour: boolean
  readonly unicode: boolean
  lines(): readonly string[]
}

export interface RunningLive extends Live {
  /** Writes something above; soon, and in the order of the calls. */
  above(write: () => void): void
  /** Nothing moves while a question is asked. */
  pause<T>(question: () => Promise<T>): Promise<T>
}

/** Between two looks at the lines: often enough for seconds that pass. */
const refreshMs = 200
/** Writes that come together are written together, since the lines below are cleared and drawn again each time. */
const gatherMs = 50

export function startLive(options: LiveOptions): RunningLive {
  let spinner: Ora | undefined
  let paused = 0
  let stopped = false
  let writes: (() => void)[] = []
  let gathering: NodeJS.Timeout | undefined

  const show = () => {
    if (!spinner || paused > 0 || stopped) return
    const lines = options.lines()
    spinner.text = lines.join('\n')
    if (lines.length > 0) spinner.start()
    else spinner.stop()
  }
  const flush = () => {
    clearTimeout(gathering)
    gathering = undefined
    const due = writes
    writes = []
    if (due.length === 0) return
    spinner?.stop()
    for (const write of due) write()
    show()
  }
  // ora takes a tenth of a second to load: the work doesn't wait for it.
  void import('ora').then(({ default: ora }) => {
    spinner = ora({
      stream: options.stream,
      isEnabled: true,
      // Ctrl-C has to stay a signal.
      discardStdin: false,
      color: options.colour ? 'cyan' : false,
      spinner: options.unicode ? 'dots' : 'line',
    })
    show()
  })
  const refresh = setInterval(show, refreshMs)
  refresh.unref()

  return {
    above(write) {
      writes.push(write)
      if (paused === 0) gathering ??= setTimeout(flush, gatherMs)
    },
    async pause(question) {
      flush()
      paused++
      spinner?.stop()
      try {
        return await question()
      } finally {
        paused--
        flush()
        show()
      }
    },
    stop() {
      clearInterval(refresh)
      spinner?.stop()
      stopped = true
      flush()
    },
  }
}
