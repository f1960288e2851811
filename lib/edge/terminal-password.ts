/** Questions whose answer isn't shown. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { Problem } from '../problem.ts'

export interface Place {
  readonly stdin: NodeJS.ReadStream
  readonly stderr: NodeJS.WriteStream
  /** Keeps everything else off the terminal meanwhile. */
  pause(question: () => Promise<string>): Promise<string>
}

type Ask = (question: string, signal: AbortSignal) => Promise<string>

/** One question at a time, in the order of the calls. */
export function hiddenQuestions(place: Place): Ask {
  let last: Promise<unknown> = Promise.resolve()
  return (question, signal) => {
    const answer = last.then(() => place.pause(() => ask(place, question, signal)))
    last = answer.catch(() => {})
    return answer
  }
}

function ask({ stdin, stderr }: Place, question: string, signal: AbortSignal): Promise<string> {
  if (!stdin.isTTY || !stderr.isTTY) {
    return Promise.reject(
      new Problem('there is no terminal to ask for a password', {
        hints: [
          'allow sudo without a password on the host and set `sudo: passwordless`, or log in as root with `sudo: none`',
        ],
      }),
    )
  }
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(stopped())
    // readline edits the line in raw mode and would show it: what it shows goes nowhere.
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
    const lines = createInterface({ input: stdin, output: nowhere, terminal: true, historySize: 0 })
    let answer: string | undefined
    // Leaves raw mode; what follows is in the listener of 'close', which Ctrl-D comes to as well.
    const end = () => lines.close()
    signal.addEventListener('abort', end, { once: true })
    lines.once('line', (line) => {
      answer = line
      end()
    })
    // In raw mode Ctrl-C is a character; everybody else has to hear of it as well.
    lines.once('SIGINT', () => {
      process.emit('SIGINT', 'SIGINT')
      end()
    })
    lines.once('close', () => {
      signal.removeEventListener('abort', end)
      stdin.pause()
      stderr.write('\n')
      if (answer === undefined) reject(stopped())
      else resolve(answer)
    })
    stderr.write(question)
  })
}

const stopped = () => new Problem('no password was given', { kind: 'interrupted' })
