/** The terminal that `deploy` was typed on, or the pipe or file in its place. */
import { canAnimate, canvasOf } from '../screen/canvas.ts'
import type { Line } from '../screen/line.ts'
import { paint } from '../screen/paint.ts'
import type { Screen, Terminal } from '../screen/terminal.ts'
import { startLive } from './terminal-live.ts'
import { hiddenQuestions } from './terminal-password.ts'

export interface Streams {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
}

export interface OpenTerminal extends Terminal {
  /** Resolves when everything is written as far as somebody reads it; with why not, when a result could not be written. */
  flush(): Promise<string | undefined>
}

export function openTerminal(streams: Streams): OpenTerminal {
  const { stdin, stdout, stderr, env } = streams
  const animates = canAnimate(stderr, env)
  /** While something moves at the bottom, lines are written above it. */
  let live: ReturnType<typeof startLive> | undefined
  const screens = [stdout, stderr].map((stream): Screen & { flush(): Promise<string | undefined> } => {
    const output = writer(stream)
    const screen = {
      get columns() {
        return canvasOf(stream, env).columns
      },
      write(text: string) {
        if (live) live.above(() => output.write(text))
        else output.write(text)
      },
      print(lines: readonly Line[]) {
        if (lines.length === 0) return
        const canvas = canvasOf(stream, env)
        screen.write(lines.map((line) => `${paint(line, canvas).trimEnd()}\n`).join(''))
      },
      flush: () => output.flush(),
    }
    return screen
  })
  const [out, err] = screens as [(typeof screens)[number], (typeof screens)[number]]
  return {
    out,
    err,
    isWatched: stderr.isTTY === true,
    animates,
    live(frame) {
      if (!animates) return { stop() {} }
      const canvas = () => ({ ...canvasOf(stderr, env), columns: (stderr.columns || 80) - spinnerWidth })
      const started = startLive({
        stream: stderr,
        colour: canvasOf(stderr, env).colour,
        unicode: canvasOf(stderr, env).unicode,
        lines: () => frame((stderr.rows || 24) - 2).map((line) => paint(line, canvas())),
      })
      live = started
      return {
        stop() {
          started.stop()
          if (live === started) live = undefined
        },
      }
    },
    askHidden: hiddenQuestions({ stdin, stderr, pause: (question) => (live ? live.pause(question) : question()) }),
    flush: async () => {
      const [lost] = await Promise.all([out.flush(), err.flush()])
      return lost
    },
  }
}

/** The spinner and the blank behind it. */
const spinnerWidth = 2

/** When the reader has gone (EPIPE) or the terminal was closed (EIO), the work goes on, and nothing more is written. */
function writer(stream: NodeJS.WriteStream) {
  let broken: NodeJS.ErrnoException | undefined
  stream.on('error', (error) => {
    broken ??= error
  })
  const why = () => (broken && broken.code !== 'EPIPE' && broken.code !== 'EIO' ? broken.message : undefined)
  return {
    write(text: string) {
      if (!broken) stream.write(text)
    },
    flush: () =>
      new Promise<string | undefined>((resolve) => {
        if (broken) resolve(why())
        else stream.write('', () => setImmediate(() => resolve(why())))
      }),
  }
}
