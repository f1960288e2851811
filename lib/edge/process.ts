/** Programs on the control machine. The only file that starts any. */
import { type ChildProcess, spawn } from 'node:child_process'
import { PassThrough } from 'node:stream'
import type { Channel, Exit, Finished, RunOptions } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { ErrorOutput } from './error-output.ts'
import { runToEnd } from './finish.ts'

export interface ProcessOptions {
  /** The whole environment; that of this process when left out. */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Ends the program and everything it started. */
  readonly signal?: AbortSignal
}

/** A running program. `close` and `kill` reach its whole process group, which a Ctrl-C at the terminal doesn't. */
export interface Process extends Channel {
  readonly pid: number
  kill(signal: NodeJS.Signals): void
}

/** How long a program that was told to end may take before it is killed. */
const grace = 2000

/** Starts a program, without a shell. Rejects with a Problem when it can't be started. */
export async function startProcess(argv: readonly string[], options: ProcessOptions = {}): Promise<Process> {
  options.signal?.throwIfAborted()
  const [program = '', ...args] = argv
  const place = options.cwd === undefined ? {} : { cwd: options.cwd }
  // Its own process group, so that all of it can be ended, and only by us.
  const child = spawn(program, args, { ...place, env: options.env ?? process.env, detached: true, stdio: 'pipe' })
  const { stdin, stderr } = child
  // When a program ends, Node lets its unread output flow away; a stream of our own keeps it for a late reader.
  const stdout = child.stdout.pipe(new PassThrough())
  const errors = new ErrorOutput()
  stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  // Whoever writes sees the error in its callback or pipeline; without a listener it would end this process.
  for (const stream of [stdin, child.stdout, stdout, stderr]) stream.on('error', () => undefined)
  const exit = new Promise<Exit>((resolve) => {
    child.on('close', (code, signal) => resolve({ code: signal ? null : code, signal, lost: false }))
  })
  const pid = await started(child, program, options.cwd)
  endWithUs(pid, exit)

  let over = false
  const kill = (signal: NodeJS.Signals) => {
    if (!over) killGroup(pid, signal)
  }
  const close = () => {
    stdin.destroy()
    child.stdout.destroy()
    stdout.destroy()
    kill('SIGTERM')
    const timer = setTimeout(() => kill('SIGKILL'), grace)
    timer.unref()
  }
  options.signal?.addEventListener('abort', close)
  // It may have been aborted while the program was started.
  if (options.signal?.aborted) close()
  void exit.then(() => {
    over = true
    options.signal?.removeEventListener('abort', close)
  })
  return {
    pid,
    stdin,
    stdout,
    exit,
    kill,
    close,
    errorOutput: () => errors.text(),
    onErrorOutput: (listener) => errors.listen(listener),
  }
}

/** Runs a program to its end. A non-zero exit is a value; not starting, or the time limit, is a Problem. */
export async function runProcess(
  argv: readonly string[],
  options: ProcessOptions & RunOptions = {},
): Promise<Finished> {
  const start = (signal: AbortSignal) => startProcess(argv, { ...options, signal })
  return runToEnd({ argv, on: '', start }, options)
}

function started(child: ChildProcess, program: string, cwd: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0))
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const where = cwd === undefined ? '' : ` in ${cwd}`
      const why = cause.code === 'ENOENT' ? 'not found' : cause.code === 'EACCES' ? 'permission denied' : cause.message
      reject(new Problem(`can't run ${program}${where}: ${why}`, { cause }))
    })
  })
}

const running = new Set<number>()

/** Nothing that was started here outlives this process, unless it is killed with SIGKILL. */
function endWithUs(pid: number, exit: Promise<Exit>): void {
  if (running.size === 0) process.on('exit', endAll)
  running.add(pid)
  void exit.then(() => {
    running.delete(pid)
    if (running.size === 0) process.off('exit', endAll)
  })
}

const endAll = () => {
  for (const pid of running) killGroup(pid, 'SIGTERM')
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // it is gone already
  }
}
