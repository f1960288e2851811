import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import tap, { test } from 'tap'
import { compiled } from '../compiled.ts'

const { directory, remove } = compiled()
tap.teardown(remove)

/** A program with the terminal that it was started on, as `terminal`, and the interrupts, as `interrupts`. */
const program = (body: string) => `
import { listenForInterrupts } from '${directory}/dist/lib/edge/interrupt.js'
import { openTerminal } from '${directory}/dist/lib/edge/terminal.js'
const terminal = openTerminal(process)
const interrupts = listenForInterrupts((text) => terminal.err.print([[text]]))
const end = async (code) => { const lost = await terminal.flush(); process.exit(lost ? 99 : code) }
${body}
`

interface Started {
  /** Everything that was written so far. */
  output(): string
  /** Resolves when that was written. */
  until(text: string | RegExp): Promise<void>
  type(text: string): void
  signal(name: NodeJS.Signals): void
  readonly exit: Promise<number | null>
}

const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`

/** Runs on a real terminal (script(1) makes one), or in pipes. */
function start(
  body: string,
  options: { terminal: boolean; columns?: number; env?: Record<string, string>; redirect?: string },
): Started {
  const argv = [process.execPath, '--input-type=module', '--eval', program(body)]
  const line = `${options.terminal ? `stty cols ${options.columns ?? 40} rows 10; exec ` : 'set -o pipefail; '}${argv.map(quote).join(' ')} ${options.redirect ?? ''}`
  const [command, args] = options.terminal
    ? ['script', ['-qefc', line, '/dev/null']]
    : ['/bin/bash', ['--norc', '-c', line]]
  const env = { PATH: process.env['PATH'], SHELL: '/bin/sh', TERM: 'xterm', LANG: 'C.UTF-8', ...options.env }
  const child = spawn(command as string, args as string[], { env, stdio: 'pipe', cwd: directory })
  let output = ''
  let look = () => {}
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      look()
    })
  }
  const exit = new Promise<number | null>((resolve) => {
    child.on('close', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : code))
  })
  return {
    output: () => output,
    until: (text) =>
      new Promise((resolve, reject) => {
        look = () => (typeof text === 'string' ? output.includes(text) : text.test(output)) && resolve()
        void exit.then((code) => reject(new Error(`ended with ${code} and never wrote ${text}: ${output}`)))
        look()
      }),
    type: (text) => child.stdin.write(text),
    signal: (name) => child.kill(name),
    exit,
  }
}

/** The program's own process, which `script` and the shell stand before. */
const showPid = "process.stderr.write('pid ' + process.pid + '\\n')"
/** All of it: a read may end in the middle of a number. */
const aPid = /pid (\d+)\r?\n/
const pidIn = (text: string) => Number(aPid.exec(text)?.[1])

test('results go to standard output and all else to standard error', async (t) => {
  const both = "terminal.out.print([['a result']]); terminal.err.print([['a message']]); await end(0)"
  const onlyOut = start(both, { terminal: false, redirect: '2>/dev/null' })
  t.equal(await onlyOut.exit, 0)
  t.equal(onlyOut.output(), 'a result\n')
  const onlyErr = start(both, { terminal: false, redirect: '>/dev/null' })
  await onlyErr.exit
  t.equal(onlyErr.output(), 'a message\n')
})

test('a pipe gets whole lines without colour, a terminal gets lines that fit', async (t) => {
  const print =
    "terminal.out.print([[{ text: '✗', tone: 'bad' }, ' dave  ' + 'word '.repeat(12) + 'end']]); await end(0)"
  const piped = start(print, { terminal: false })
  await piped.exit
  t.equal(piped.output(), `✗ dave  ${'word '.repeat(12)}end\n`)
  const shown = start(print, { terminal: true })
  await shown.exit
  t.equal(shown.output(), '\u001b[31m✗\u001b[39m dave  word word word word word word w…\r\n')
  const cron = start(print, { terminal: false, env: { LANG: '', TERM: '' } })
  await cron.exit
  t.equal(cron.output(), `x dave  ${'word '.repeat(12)}end\n`)
})

test('a reader that goes away is no error, a full disk is one', async (t) => {
  const many = "for (let i = 0; i < 20000; i++) terminal.out.print([['line ' + i]]); await end(0)"
  const gone = start(many, { terminal: false, redirect: '| head -1' })
  t.equal(await gone.exit, 0)
  t.equal(gone.output(), 'line 0\n')
  const full = start("terminal.out.print([['a result']]); await end(0)", { terminal: false, redirect: '>/dev/full' })
  t.equal(await full.exit, 99)
})

test('lines move at the bottom of a terminal while others are printed above', async (t) => {
  const body = `
    let done = 0
    const live = terminal.live((rows) => [[done + '/2 done in ' + rows + ' rows'], ['  dave  ' + 'copy '.repeat(20)]])
    process.on('SIGUSR2', async () => {
      done++
      terminal.err.print([['host ' + done + ' is done']])
      if (done < 2) return
      live.stop()
      terminal.out.print([['the summary']])
      await end(0)
    })
    ${showPid}`
  const started = start(body, { terminal: true })
  await started.until('0/2 done in 8 rows')
  await started.until(aPid)
  const pid = pidIn(started.output())
  process.kill(pid, 'SIGUSR2')
  await started.until('1/2 done')
  process.kill(pid, 'SIGUSR2')
  t.equal(await started.exit, 0)
  const screen = lastScreen(started.output())
  t.strictSame(screen.slice(1), ['host 1 is done', 'host 2 is done', 'the summary'])
  t.match(started.output(), '\u001b[?25h', 'the cursor is shown again')
  t.notMatch(started.output(), /(copy ){8}/, 'no line is longer than the terminal is wide')
})

test('nothing moves where lines can’t be written over', async (t) => {
  const body = "const live = terminal.live(() => [['moving']]); setTimeout(() => { live.stop(); void end(0) }, 600)"
  for (const options of [
    { terminal: false },
    { terminal: true, env: { TERM: 'dumb' } },
    { terminal: true, columns: 0 },
  ]) {
    const started = start(body, options)
    t.equal(await started.exit, 0)
    t.equal(started.output(), '')
  }
})

test('a password is asked for one at a time, and not shown', async (t) => {
  const body = `
    const live = terminal.live(() => [['working']])
    const ask = (host) => terminal.askHidden('password for ' + host + ': ', interrupts.signal)
    const [dave, erin] = await Promise.all([ask('dave'), ask('erin')])
    live.stop()
    terminal.out.print([[dave + ' has ' + dave.length + ', and ' + erin.length]])
    await end(0)`
  const started = start(body, { terminal: true })
  await started.until('password for dave: ')
  t.notMatch(started.output(), 'password for erin')
  // The last letter is taken back.
  started.type('hunter2\u007f\r')
  await started.until('password for erin: ')
  t.notMatch(started.output(), 'hunter')
  started.type('secret\r')
  t.equal(await started.exit, 0)
  t.match(started.output(), 'hunter has 6, and 6')
  t.notMatch(started.output(), 'secret')
})

test('Ctrl-C at a password leaves the terminal as it was, and is an interruption', async (t) => {
  const body = `
    const answer = await terminal.askHidden('password: ', interrupts.signal).catch((error) => error.kind)
    terminal.out.print([[answer + ', raw: ' + process.stdin.isRaw + ', aborted: ' + interrupts.signal.aborted]])
    await end(130)`
  const started = start(body, { terminal: true })
  await started.until('password: ')
  started.type('hun\u0003')
  t.equal(await started.exit, 130)
  t.match(started.output(), 'stopping: hosts are left safe')
  t.match(started.output(), 'interrupted, raw: false')
})

test('without a terminal nobody is asked', async (t) => {
  const body = `
    const problem = await terminal.askHidden('password: ', interrupts.signal).catch((error) => error)
    terminal.out.print([[problem.name + ': ' + problem.message], ...problem.hints.map((hint) => [hint])])
    await end(0)`
  const started = start(body, { terminal: false })
  t.equal(await started.exit, 0)
  t.match(started.output(), 'Problem: there is no terminal to ask for a password')
  t.match(started.output(), 'sudo: passwordless')
  t.notMatch(started.output(), 'password: \n')
})

const tellSignals = `
  interrupts.signal.addEventListener('abort', () => terminal.err.print([['first: ' + interrupts.signal.reason.kind]]))
  interrupts.giveUp.addEventListener('abort', () => terminal.err.print([['second']]))
  setInterval(() => {}, 1000)
  ${showPid}`

test('Ctrl-C stops, Ctrl-C again stops waiting, and once more ends at once', async (t) => {
  const started = start(tellSignals, { terminal: true })
  await started.until(aPid)
  started.type('\u0003')
  await started.until('first: interrupted')
  t.match(started.output(), 'stopping: hosts are left safe')
  t.notMatch(started.output(), 'second')
  started.type('\u0003')
  await started.until('second')
  started.type('\u0003')
  t.equal(await started.exit, 130)
})

test('SIGTERM and SIGHUP stop as the first Ctrl-C does, and never more than that', async (t) => {
  const started = start(tellSignals, { terminal: false })
  await started.until(aPid)
  const pid = pidIn(started.output())
  process.kill(pid, 'SIGTERM')
  await started.until('first: interrupted')
  process.kill(pid, 'SIGHUP')
  process.kill(pid, 'SIGTERM')
  process.kill(pid, 'SIGTERM')
  process.kill(pid, 'SIGINT')
  await started.until('second')
  t.equal(started.output().split('stopping').length, 2, 'said once')
  process.kill(pid, 'SIGINT')
  t.equal(await started.exit, 130)
})

/** What is left on the screen after all that was written over. */
function lastScreen(output: string): string[] {
  const lines = ['']
  let row = 0
  const sequence = /␛\[(\??[\d;]*)([A-Za-z])|\r|\n|[^␛\r\n]+/g
  for (const [text, count = '', what] of output.replaceAll('\u001b', '␛').matchAll(sequence)) {
    if (what === 'A') row = Math.max(0, row - Number(count || 1))
    else if (what === 'K') lines[row] = ''
    else if (text === '\n') lines[++row] ??= ''
    else if (what === undefined && text !== '\r') lines[row] += text
  }
  return lines.map((line) => line.trimEnd()).filter((line) => line !== '')
}
