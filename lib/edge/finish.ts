/** Runs what was started to its end, whichever way it was started. */
import { StringDecoder } from 'node:string_decoder'
import { finished } from 'node:stream/promises'
import { brief } from '../machine/command.ts'
import type { Channel, Finished, RunOptions } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { lostWhile } from './lost.ts'

export interface Task {
  readonly argv: readonly string[]
  /** The machine's name, empty for this one. */
  readonly on: string
}

/** Rejects with a Problem when the connection is lost or the time is up, and with the signal's reason when aborted. */
export async function finish(channel: Channel, task: Task, options: RunOptions): Promise<Finished> {
  const output = collect(channel, options.onLine)
  // A command that doesn't read its input to the end is no failure: its exit status says how it went.
  channel.stdin.end(options.input ?? '')
  const ended = Promise.all([channel.exit, finished(channel.stdout, { writable: false }).catch(() => undefined)])
  const [exit] = await limited(ended, channel, task, options)
  if (exit.lost) throw lostWhile(task.on, task.argv)
  return { ...exit, stdout: output(), stderr: channel.errorOutput() }
}

function collect(channel: Channel, onLine: ((line: string) => void) | undefined): () => string {
  const chunks: Buffer[] = []
  const decoder = new StringDecoder('utf8')
  let rest = ''
  channel.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    if (!onLine) return
    const lines = (rest + decoder.write(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  return () => {
    if (onLine && rest !== '') onLine(rest)
    return Buffer.concat(chunks).toString('utf8')
  }
}

/** The end, or the end of our patience, whichever comes first; the channel is closed when it isn't the end. */
async function limited<T>(end: Promise<T>, channel: Channel, task: Task, options: RunOptions): Promise<T> {
  const { timeoutMs, signal } = options
  if (timeoutMs === undefined && !signal) return end
  let timer: NodeJS.Timeout | undefined
  let abort = () => {}
  const impatience = new Promise<never>((_, reject) => {
    abort = () => reject(signal?.reason)
    if (timeoutMs !== undefined) timer = setTimeout(() => reject(overdue(task, timeoutMs, channel)), timeoutMs)
  })
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort)
  try {
    return await Promise.race([end, impatience])
  } catch (error) {
    channel.close()
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

function overdue(task: Task, timeoutMs: number, channel: Channel): Problem {
  const where = task.on === '' ? '' : ` on ${task.on}`
  return new Problem(`${brief(task.argv)}${where} took longer than ${timeoutMs / 1000} s`, {
    detail: channel.errorOutput().trim(),
    ...(task.on !== '' && { host: task.on }),
  })
}
