/** A terminal that keeps what was written, without colour. */
import type { Line } from '../../lib/screen/line.ts'
import { paint } from '../../lib/screen/paint.ts'
import type { Screen, Terminal } from '../../lib/screen/terminal.ts'

export interface RecordingTerminal extends Terminal {
  readonly text: { out: string; err: string }
}

/** Without columns it is no terminal but a pipe. */
export function recordingTerminal(columns?: number): RecordingTerminal {
  const text = { out: '', err: '' }
  const screen = (name: 'out' | 'err'): Screen => ({
    columns,
    write(written) {
      text[name] += written
    },
    print(lines: readonly Line[]) {
      for (const line of lines) text[name] += `${paint(line, { columns, colour: false, unicode: true })}\n`
    },
  })
  return {
    text,
    out: screen('out'),
    err: screen('err'),
    isWatched: columns !== undefined,
    animates: false,
    live: () => ({ stop() {} }),
    askHidden: () => Promise.reject(new Error('nobody is asked here')),
  }
}
