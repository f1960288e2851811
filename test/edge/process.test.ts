import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'tap'
import { systemClock } from '../../lib/edge/clock.ts'
import { ErrorOutput } from '../../lib/edge/error-output.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import { runProcess, startProcess } from '../../lib/edge/process.ts'
import { Slots } from '../../lib/edge/slots.ts'
import { compiled } from '../compiled.ts'
import { alive, isRoot, until } from './sshd.ts'

test('a program runs with its own directory, environment and input', async (t) => {
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'process-')))
  t.teardown(() => rmSync(cwd, { recursive: true }))
  const argv = ['/bin/sh', '-c', 'pwd; echo "$WORD"; cat; echo oops >&2; exit 3']
  const done = await runProcess(argv, { cwd, env: { WORD: 'a $b' }, input: 'in' })
  t.same(done, { code: 3, signal: null, lost: false, stdout: `${cwd}\na $b\nin`, stderr: 'oops\n' })
})

test('a user without an entry in passwd is no hindrance', isRoot ? {} : { skip: 'needs root' }, async (t) => {
  const { directory, remove } = compiled()
  t.teardown(remove)
  chmodSync(directory, 0o755)
  const program = `import { localMachine } from '${directory}/dist/lib/edge/local-machine.js'
    process.setuid(64998)
    const done = await localMachine().run({ argv: ['id', '-u'] })
    console.log(localMachine().user, done.stdout.trim())`
  const done = await runProcess([process.execPath, '--input-type=module', '--eval', program])
  t.match(done, { code: 0, stdout: '64998 64998\n' }, done.stderr)
})

test('of what is heard line by line, only the end is kept, in whole lines', async (t) => {
  let heard = 0
  const done = await runProcess(['sh', '-c', 'seq 100000 200000; printf end'], { onLine: () => heard++ })
  t.equal(heard, 100_002)
  t.match(done.stdout, /^1\d{5}\n1\d{5}\n[\s\S]*\n200000\nend$/)
  t.ok(done.stdout.length <= 256 * 1024)
})

test('a program that cannot be started is told by name', async (t) => {
  await t.rejects(runProcess(['no-such-program']), { message: "can't run no-such-program: not found", kind: 'failed' })
  await t.rejects(runProcess(['/etc/passwd']), { message: "can't run /etc/passwd: permission denied" })
  await t.rejects(runProcess(['true'], { cwd: '/no/such/place' }), {
    message: "can't run true in /no/such/place: not found",
  })
})

test('an abort ends everything that a program started', async (t) => {
  const stop = new AbortController()
  const running = await startProcess(['sh', '-c', 'sleep 100 & echo $!; wait'], { signal: stop.signal })
  const child = Number(await new Promise((resolve) => running.stdout.once('data', resolve)))
  t.ok(alive(child))
  stop.abort()
  t.same(await running.exit, { code: null, signal: 'SIGTERM', lost: false })
  await until(() => !alive(child))
  await t.rejects(startProcess(['true'], { signal: stop.signal }), { name: 'AbortError' })
})

test('a program that ignores the request to end is killed', async (t) => {
  const running = await startProcess(['sh', '-c', 'trap "" TERM; echo on; while :; do sleep 1; done'])
  await new Promise((resolve) => running.stdout.once('data', resolve))
  running.close()
  t.match(await running.exit, { code: null, signal: 'SIGKILL' })
})

test('the output of a program that has ended waits for its reader', async (t) => {
  const running = await startProcess(['echo', 'still here'])
  await until(() => !alive(running.pid))
  await new Promise((resolve) => setImmediate(resolve))
  let output = ''
  for await (const chunk of running.stdout) output += String(chunk)
  t.equal(output, 'still here\n')
})

test('writing to a program that has ended is an error, and never ends this one', async (t) => {
  const running = await startProcess(['true'])
  running.stdout.resume()
  await running.exit
  await t.rejects(pipeline(Readable.from(['x']), running.stdin))
  const much = await runProcess(['true'], { input: Buffer.alloc(1024 * 1024) })
  t.equal(much.code, 0)
})

test('what was started does not outlive the program that started it', async (t) => {
  const lines: number[] = []
  const url = new URL('../../lib/edge/process.ts', import.meta.url).href
  const script = `const { startProcess } = await import('${url}'); const p = await startProcess(['sleep', '100']); console.log(p.pid); process.exit(0)`
  const argv = [process.execPath, ...process.execArgv, '--input-type=module', '-e', script]
  const done = await runProcess(argv, { onLine: (line) => lines.push(Number(line)) })
  t.equal(done.code, 0, done.stderr)
  t.ok(lines[0])
  await until(() => !alive(lines[0] ?? 0))
})

test('this machine runs commands like any other', async (t) => {
  const here = localMachine({ name: 'local', cwd: '/', elevation: 'none' })
  t.match(here, { name: 'local', destination: 'localhost' })
  const done = await here.run({ argv: ['sh', '-c', 'pwd; printf "%s" "$1"', 'sh', '$HOME "\'\\'], asRoot: true })
  t.match(done, { code: 0, stdout: '/\n$HOME "\'\\' })
  const cat = await here.open({ argv: ['cat'] })
  // More than sshd would let run at once.
  for (let more = 0; more < 20; more++) await here.open({ argv: ['cat'] })
  await here.close()
  await here.closed
  t.match(await cat.exit, { lost: false })
  await t.rejects(here.run({ argv: ['true'] }), { message: 'the connection to local was lost' })
})

test('only the end of standard error is kept, and no character is broken', async (t) => {
  const errors = new ErrorOutput()
  const heard: string[] = []
  errors.listen((text) => heard.push(text))
  const bytes = Buffer.from('ü'.repeat(50_000))
  errors.push(bytes.subarray(0, 33_333))
  errors.push(bytes.subarray(33_333))
  t.equal(heard.join(''), 'ü'.repeat(50_000))
  t.equal(errors.text(), 'ü'.repeat(32 * 1024))
  const late: string[] = []
  errors.listen((text) => late.push(text))
  t.same(late, ['ü'.repeat(32 * 1024)], 'who listens late hears what was said before')
  errors.push(Buffer.from('x'))
  t.same(late.at(-1), 'x')
  t.equal(errors.text(), `${'ü'.repeat(32 * 1024 - 1)}x`)
})

test('slots are given in turn, taken back once, and left by those who stop waiting', async (t) => {
  const slots = new Slots(2)
  const [one, two] = [await slots.take(), await slots.take()]
  const order: string[] = []
  const impatient = new AbortController()
  const turn = async (name: string) => {
    const release = await slots.take()
    order.push(name)
    return release
  }
  const third = turn('third')
  const left = slots.take(impatient.signal)
  const fourth = turn('fourth')
  impatient.abort()
  await t.rejects(left, { name: 'AbortError' })
  one()
  one()
  const release = await third
  t.equal(slots.taken, 2)
  t.same(order, ['third'])
  two()
  await fourth
  t.same(order, ['third', 'fourth'])
  release()
  t.equal(slots.taken, 1)
  await t.rejects(slots.take(impatient.signal), { name: 'AbortError' })
})

test('the clock goes forward, and a sleep can be ended', async (t) => {
  const before = systemClock.monotonic()
  await systemClock.sleep(5)
  t.ok(systemClock.monotonic() > before)
  t.type(systemClock.now(), Date)
  const stop = new AbortController()
  const sleep = systemClock.sleep(100_000, stop.signal)
  stop.abort(new Error('woken'))
  await t.rejects(sleep, { message: 'woken' })
})
