/** Runs a command to its end, wherever it is started. */

import { finished } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { brief } from '../machine/command.ts'
import type { Channel, Exit, Finished, RunOptions } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { lostWhile } from './lost.ts'

export interface Task {
  readonly argv: readonly string[]
  /** The machine's name, empty for this one. */
  readonly on: string
  /** Starts it; an abort ends it, or the waiting for it. */
  start(signal: AbortSignal): Promise<Channel>
}

/** Rejects with a Problem when the connection is lost or the time is up, and with the signal's reason when aborted. */
export async function runToEnd(task: Task, options: RunOptions): Promise<Finished> {
  const { timeoutMs } = options
  const limit = new AbortController()
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => limit.abort(), timeoutMs)
  const signal = options.signal ? AbortSignal.any([options.signal, limit.signal]) : limit.signal
  let channel: Channel | undefined
  try {
    channel = await task.start(signal)
    const output = collect(channel, options.onLine)
    // A command that doesn't read its input to the end is no failure: its exit status says how it went.
    channel.stdin.end(options.input ?? '')
    const exit = await unlessAborted(ended(channel), signal)
    if (exit.lost) throw lostWhile(task.on, task.argv)
    return { ...exit, stdout: output(), stderr: channel.errorOutput() }
  } catch (error) {
    if (!limit.signal.aborted || options.signal?.aborted) throw error
    throw overdue(task, timeoutMs ?? 0, channel?.errorOutput() ?? '')
  } finally {
    clearTimeout(timer)
  }
}

async function ended(channel: Channel): Promise<Exit> {
  const [exit] = await Promise.all([channel.exit, finished(channel.stdout, { writable: false }).catch(() => undefined)])
  return exit
}

function collect(channel: Channel, onLine: ((line: string) => void) | undefined): () => string {
  if (onLine) return collectEnd(channel, onLine)
  const chunks: Buffer[] = []
  channel.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString('utf8')
}

/** Whoever hears every line needs only the end of what a switch may print for ever. */
const keptCharacters = 256 * 1024

/** Whole lines: half a line may say something else. */
function collectEnd(channel: Channel, onLine: (line: string) => void): () => string {
  const decoder = new StringDecoder('utf8')
  const kept: string[] = []
  let size = 0
  let rest = ''
  const take = (line: string, end: string) => {
    kept.push(line + end)
    size += line.length + end.length
    while (size > keptCharacters && kept.length > 1) size -= kept.shift()?.length ?? 0
    onLine(line)
  }
  channel.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line, '\n')
  })
  return () => {
    if (rest !== '') take(rest, '')
    return kept.join('')
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([aborted, work])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function overdue(task: Task, timeoutMs: number, errorOutput: string): Problem {
  const where = task.on === '' ? '' : ` on ${task.on}`
  return new Problem(`${brief(task.argv)}${where} took longer than ${timeoutMs / 1000} s`, {
    detail: errorOutput.trim(),
    ...(task.on !== '' && { host: task.on }),
  })
}
