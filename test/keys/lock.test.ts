/** The lock of whoever changes the keys of a host: the program for hosts, run here, with a directory of its own. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../lib/edge/clock.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import { lockKeys } from '../../lib/keys/lock.ts'
import { askHost, keysProgram, verbCommand } from '../../lib/keys/program.ts'
import { Problem } from '../../lib/problem.ts'

const directory = new URL('../../lib/keys/host/', import.meta.url)
const parts = new Map(readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), 'utf8')]))

/** Logins to a host; `more`: shell functions in place of the program's own. */
function hostOf(t: Test, more = '') {
  const root = mkdtempSync(join(tmpdir(), 'deploy-keys-lock-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  const program = keysProgram(new Map([...parts, ['90-here.sh', `run_directory=${root}/run\n${more}`]]))
  const { signal } = new AbortController()
  const login = () => {
    const machine = localMachine({ name: 'dave', elevation: 'none' })
    t.teardown(() => machine.close())
    return { machine, program, signal }
  }
  return { login, root }
}

const refusal = (promise: Promise<unknown>): Promise<Problem | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => error as Problem,
  )

t.test('one at a time, and whoever comes second is told who holds it', async (t) => {
  const { login } = hostOf(t)
  const lock = await lockKeys(login(), 'me@here (deploy keys rotate, since yesterday)', systemClock)
  const problem = await refusal(lockKeys(login(), 'cron@there', systemClock))
  t.ok(problem instanceof Problem)
  t.match(problem, { kind: 'locked', message: /changed by me@here \(deploy keys rotate, since yesterday\)$/ })
  await lock.release()
  t.equal(lock.lost.aborted, false, 'it was given back')
  const next = await lockKeys(login(), 'cron@there', systemClock)
  await next.release()
})

t.test('it is released when the connection ends, and the one who had it is told', async (t) => {
  const { login } = hostOf(t)
  const first = login()
  const lock = await lockKeys(first, 'me', systemClock)
  const told = new Promise<unknown>((resolve) =>
    lock.lost.addEventListener('abort', () => resolve(lock.lost.reason), { once: true }),
  )
  await first.machine.close()
  t.match(await told, { message: /^contact with dave was lost/ })
  const next = await lockKeys(login(), 'you', systemClock)
  await next.release()
})

t.test('who says nothing any more loses it, though the connection is still there', async (t) => {
  const { login } = hostOf(t, 'silence=1')
  const { machine, program } = login()
  const channel = await machine.open(verbCommand('hold', 'silent'))
  channel.stdin.write(program)
  await new Promise((resolve) => channel.stdout.once('data', resolve))
  t.match(await refusal(lockKeys(login(), 'x', systemClock)), { kind: 'locked' })
  t.match(await channel.exit, { code: 0 })
  const next = await lockKeys(login(), 'you', systemClock)
  await next.release()
})

t.test('a host that answers no more is lost', async (t) => {
  // The way there swallows everything from now on.
  const { login } = hostOf(t, 'hold() { echo locked; exec sleep 60; }')
  const hurried = { ...systemClock, sleep: (_: number, signal?: AbortSignal) => systemClock.sleep(20, signal) }
  const lock = await lockKeys(login(), 'me', hurried)
  await new Promise((resolve) => lock.lost.addEventListener('abort', resolve, { once: true }))
  t.match(lock.lost.reason, { message: /^contact with dave was lost/ })
})

t.test('what a connection began is over before somebody else begins', async (t) => {
  const forget = 'forget() { : > "$run_directory/begun"; while [ ! -e "$run_directory/end" ]; do sleep 0.05; done; }'
  const { login, root } = hostOf(t, forget)
  const first = await lockKeys(login(), 'me', systemClock)
  const step = askHost(login(), 'forget', 'root')
  const there = (name: string) => readdirSync(join(root, 'run')).includes(name)
  while (!there('begun')) await systemClock.sleep(20)
  await first.release()
  let isIn = false
  const second = lockKeys(login(), 'you', systemClock).then((lock) => {
    isIn = true
    return lock
  })
  while (!/^you/.test(readFileSync(join(root, 'run/lock'), 'utf8'))) await systemClock.sleep(20)
  await systemClock.sleep(200)
  t.equal(isIn, false)
  await askHost({ ...login(), program: keysProgram(new Map([['1.sh', `: > ${root}/run/end; echo end`]])) }, 'x')
  await step
  await (await second).release()
})

t.test('a host where nothing can be locked says why', async (t) => {
  const { login } = hostOf(t, 'flock() { echo "no locks here" >&2; return 127; }')
  t.match(await refusal(lockKeys(login(), 'me', systemClock)), { kind: 'failed', detail: 'no locks here' })
})
