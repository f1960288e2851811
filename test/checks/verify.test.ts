import fc from 'fast-check'
import { test } from 'tap'
import type { Check, CheckEdge, Health } from '../../lib/checks/check.ts'
import { scoped } from '../../lib/checks/scope.ts'
import { type Verification, type Verified, verify, type VerifyEvent, type Watched } from '../../lib/checks/verify.ts'
import type { Machine } from '../../lib/machine/machine.ts'
import { Problem } from '../../lib/problem.ts'
import { FakeClock, quiet } from './fake-clock.ts'

const surroundings = { machine: {} as Machine, edge: {} as CheckEdge }

/** `+` healthy, `-` not, `!` a Problem, `.` no answer ever; the last one again and again. Each answer takes 100 ms. */
function scripted(clock: FakeClock, script: string, fields: Partial<Check> = {}) {
  const tries: number[] = []
  const aborted: number[] = []
  const check: Check = {
    title: 'http x',
    severity: 'required',
    timeoutMs: 5000,
    intervalMs: 1000,
    async run(_, signal): Promise<Health> {
      const answer = script[Math.min(tries.length, script.length - 1)]
      tries.push(clock.monotonic())
      signal.addEventListener('abort', () => aborted.push(clock.monotonic()))
      if (answer === '.') return new Promise(() => {})
      await clock.sleep(100, signal)
      if (answer === '!') throw new Problem('connection refused')
      return answer === '+' ? { healthy: true } : { healthy: false, reason: 'answered 500' }
    },
    ...fields,
  }
  return { check, tries, aborted }
}

function verification(clock: FakeClock, checks: readonly Check[], fields: Partial<Verification> = {}): Verification {
  return { checks, surroundings, clock, settleMs: 10_000, deadline: 60_000, ...fields }
}

async function run(clock: FakeClock, checks: readonly Check[], fields: Partial<Verification> = {}) {
  const events: VerifyEvent[] = []
  const work = verify(verification(clock, checks, fields), (event) => events.push(event), new AbortController().signal)
  const verified = await clock.until(work)
  await quiet()
  return { verified, events, leftSleeping: clock.sleeping, at: clock.monotonic() }
}

const reasonOf = (verified: Verified) => (verified.healthy ? '' : verified.reason)

test('healthy checks are asked every interval while everything settles, and once more at the end of it', async (t) => {
  const clock = new FakeClock()
  const web = scripted(clock, '+')
  const { verified, events, leftSleeping } = await run(clock, [web.check], { settleMs: 2500 })
  t.same(verified, { healthy: true, tookMs: 2700, warnings: [] })
  t.same(web.tries, [0, 1100, 2200, 2600])
  t.same(events, [
    { kind: 'healthy', title: 'http x' },
    { kind: 'settling', milliseconds: 2500 },
  ])
  t.equal(leftSleeping, 0)
})

test('a try that is under way when the settle time ends is not the last word', async (t) => {
  const clock = new FakeClock()
  const web = scripted(clock, '++-', { intervalMs: 400 })
  const { verified } = await run(clock, [web.check], { settleMs: 450 })
  t.same(web.tries, [0, 500, 600], 'the second one began before the end and ended after it')
  t.equal(reasonOf(verified), 'http x: answered 500, after it had been healthy')
})

test('with a settle time of zero everything has been healthy once, and that is enough', async (t) => {
  const clock = new FakeClock()
  const fast = scripted(clock, '+')
  const slow = scripted(clock, '---+', { title: 'tcp y' })
  const { verified, leftSleeping } = await run(clock, [fast.check, slow.check], { settleMs: 0 })
  t.same(verified, { healthy: true, tookMs: 3400, warnings: [] })
  t.same(fast.tries, [0], 'not asked again')
  t.same(slow.tries, [0, 1100, 2200, 3300])
  t.equal(leftSleeping, 0)
})

test('without any check there is nothing to retry, but the settle time still passes', async (t) => {
  t.match((await run(new FakeClock(), [])).verified, { healthy: true, tookMs: 10_000 })
  t.match((await run(new FakeClock(), [], { settleMs: 0 })).verified, { healthy: true, tookMs: 0 })
})

test('a check is retried until it is healthy, and each new reason is told once', async (t) => {
  const clock = new FakeClock()
  const web = scripted(clock, '!!--+')
  const { verified, events } = await run(clock, [web.check], { settleMs: 0 })
  t.match(verified, { healthy: true, tookMs: 4500 })
  t.same(events, [
    { kind: 'unhealthy', title: 'http x', reason: 'connection refused' },
    { kind: 'unhealthy', title: 'http x', reason: 'answered 500' },
    { kind: 'healthy', title: 'http x' },
  ])
})

test('a check that never gets healthy is named when the time is up', async (t) => {
  const clock = new FakeClock()
  const checks = [
    scripted(clock, '+', { title: 'unit a' }),
    scripted(clock, '-'),
    scripted(clock, '!', { title: 'tcp y' }),
  ]
  const { verified, at, leftSleeping } = await run(
    clock,
    checks.map((one) => one.check),
  )
  t.same(verified, { healthy: false, reason: 'http x: answered 500 (and 1 more)', warnings: [] })
  t.equal(at, 60_000)
  t.equal(leftSleeping, 0)
})

test('all checks must be healthy at the same time before the settle time begins', async (t) => {
  const clock = new FakeClock()
  const flapping = scripted(clock, '+-++', { title: 'unit flapping' })
  const slow = scripted(clock, '--+', { title: 'unit slow', intervalMs: 500 })
  const { events } = await run(clock, [flapping.check, slow.check])
  t.same(
    events.map((event) => (event.kind === 'settling' ? 'settling' : `${event.kind} ${event.title}`)),
    [
      'healthy unit flapping',
      'unhealthy unit slow',
      'unhealthy unit flapping',
      'healthy unit slow',
      'healthy unit flapping',
      'settling',
    ],
  )
})

test('a check that fails within the settle time ends it at once', async (t) => {
  const clock = new FakeClock()
  const web = scripted(clock, '+++-')
  const { verified, at, leftSleeping } = await run(clock, [web.check])
  t.equal(reasonOf(verified), 'http x: answered 500, after it had been healthy')
  t.equal(at, 3400)
  t.equal(leftSleeping, 0)
})

test('a try that hangs is over when its time is up, and is told to stop', async (t) => {
  const clock = new FakeClock()
  const web = scripted(clock, '.+', { timeoutMs: 2000 })
  const { verified, events } = await run(clock, [web.check], { settleMs: 0 })
  t.match(verified, { healthy: true, tookMs: 3100 })
  t.match(events[0], { kind: 'unhealthy', reason: 'no answer within 2s' })
  t.equal(web.aborted[0], 2000)
})

test('a check that was never answered says so when the time is up before its own', async (t) => {
  const clock = new FakeClock()
  const { verified } = await run(clock, [scripted(clock, '.').check], { deadline: 3000 })
  t.equal(reasonOf(verified), 'http x: no answer yet')
})

test('when everything is healthy too late to settle, that is said at once', async (t) => {
  const clock = new FakeClock()
  const { verified, at } = await run(clock, [scripted(clock, '----+').check], { deadline: 12_000 })
  t.equal(reasonOf(verified), 'healthy only after 4s500ms, which leaves no time to stay so for 10s')
  t.equal(at, 4500)
})

test('a deadline that has passed already is no success', async (t) => {
  const clock = new FakeClock()
  const { verified } = await run(clock, [scripted(clock, '+').check], { deadline: -1 })
  t.equal(reasonOf(verified), 'http x: no answer yet')
})

test('a last answer that comes after the deadline is no success', async (t) => {
  const clock = new FakeClock()
  const { verified } = await run(clock, [scripted(clock, '+').check], { deadline: 10_150 })
  t.equal(reasonOf(verified), 'the time was up before everything had stayed healthy for 10s')
})

test('a warn check is told of and fails nothing', async (t) => {
  const clock = new FakeClock()
  const warn = scripted(clock, '-', { title: 'local smoke', severity: 'warn' })
  const { verified, leftSleeping } = await run(clock, [scripted(clock, '+').check, warn.check])
  t.same(verified, { healthy: true, tookMs: 10_200, warnings: ['local smoke: answered 500'] })
  t.equal(leftSleeping, 0)
})

test('a warn check that got well in the meantime is not told of', async (t) => {
  const clock = new FakeClock()
  const warn = scripted(clock, '--+', { severity: 'warn' })
  t.same((await run(clock, [warn.check])).verified, { healthy: true, tookMs: 10_000, warnings: [] })
})

test('the first answer of a warn check is waited for, but not beyond the deadline', async (t) => {
  const slow = (clock: FakeClock) => scripted(clock, '.', { severity: 'warn', timeoutMs: 8000 }).check
  const first = new FakeClock()
  t.same((await run(first, [slow(first)], { settleMs: 0 })).verified, {
    healthy: true,
    tookMs: 8000,
    warnings: ['http x: no answer within 8s'],
  })
  const second = new FakeClock()
  t.same((await run(second, [slow(second)], { settleMs: 0, deadline: 5000 })).verified, {
    healthy: true,
    tookMs: 5000,
    warnings: ['http x: no answer yet'],
  })
})

test('a failed verification tells its warnings, too', async (t) => {
  const clock = new FakeClock()
  const warn = scripted(clock, '-', { title: 'local smoke', severity: 'warn' })
  const { verified } = await run(clock, [scripted(clock, '+-').check, warn.check])
  t.match(verified, { healthy: false, warnings: ['local smoke: answered 500'] })
})

/** What is said at which time; then nothing, or the end. */
async function* said(clock: FakeClock, words: [at: number, watched: Watched][], end?: number): AsyncGenerator<Watched> {
  for (const [at, watched] of words) {
    await clock.sleep(at - clock.monotonic())
    yield watched
  }
  await (end === undefined ? new Promise(() => {}) : clock.sleep(end - clock.monotonic()))
}
const well: Watched = { healthy: true }
const failed: Watched = { healthy: false, reason: 'unit web.service: failed', final: false }

test('what is watched must be healthy like the checks, and is the first thing to be named', async (t) => {
  const clock = new FakeClock()
  const recovering = said(clock, [
    [200, failed],
    [3000, well],
  ])
  t.match((await run(clock, [], { watch: recovering })).verified, { healthy: true, tookMs: 13_000 })

  const other = new FakeClock()
  const { verified } = await run(other, [scripted(other, '-').check], { watch: said(other, [[200, failed]]) })
  t.equal(reasonOf(verified), 'unit web.service: failed (and 1 more)')
})

test('what is watched and cannot get better ends verification at once', async (t) => {
  const clock = new FakeClock()
  const { verified, at, leftSleeping } = await run(clock, [scripted(clock, '-').check], {
    watch: said(clock, [[700, { ...failed, final: true }]]),
  })
  t.equal(reasonOf(verified), 'unit web.service: failed')
  t.equal(at, 700)
  t.equal(leftSleeping, 0)
})

test('what is watched and fails within the settle time ends it at once', async (t) => {
  const clock = new FakeClock()
  const watch = said(clock, [
    [0, well],
    [4000, failed],
  ])
  const { verified, at } = await run(clock, [scripted(clock, '+').check], { watch })
  t.equal(reasonOf(verified), 'unit web.service: failed, after it had been healthy')
  t.equal(at, 4000)
})

test('nothing is healthy before the watch has said so, and nothing after it has ended', async (t) => {
  const silent = new FakeClock()
  t.equal(
    reasonOf((await run(silent, [scripted(silent, '+').check], { watch: said(silent, []), settleMs: 0 })).verified),
    'nothing is known of the units yet',
  )
  const ended = new FakeClock()
  const { verified, at } = await run(ended, [scripted(ended, '+').check], { watch: said(ended, [[0, well]], 6000) })
  t.equal(reasonOf(verified), 'contact was lost while the units were watched')
  t.equal(at, 6000)
})

test('a watch that fails with a problem says why contact was lost', async (t) => {
  const clock = new FakeClock()
  // biome-ignore lint/correctness/useYield: it fails before it has anything to say
  async function* broken(): AsyncGenerator<Watched> {
    throw new Problem('the connection to dave was lost', { kind: 'unreachable' })
  }
  const { verified } = await run(clock, [scripted(clock, '+').check], { watch: broken() })
  t.equal(reasonOf(verified), 'contact was lost while the units were watched: the connection to dave was lost')
})

test('an interruption ends it promptly, whatever is under way, and nothing goes on', async (t) => {
  for (const script of ['+', '-', '.']) {
    const clock = new FakeClock()
    const interruption = new AbortController()
    const asked = scripted(clock, script)
    const watch = said(clock, [[0, well]])
    const work = verify(verification(clock, [asked.check], { watch }), () => {}, interruption.signal)
    const outcome = work.then(
      () => 'verified',
      (reason) => reason,
    )
    await clock.until(Promise.race([outcome, clock.sleep(2550)]))
    interruption.abort('Ctrl-C')
    t.equal(await outcome, 'Ctrl-C', script)
    await quiet()
    t.equal(clock.sleeping, 0, 'no timer is left')
    const before = asked.tries.length
    await quiet()
    t.equal(asked.tries.length, before)
  }
  await t.rejects(
    verify(verification(new FakeClock(), []), () => {}, AbortSignal.abort(new Problem('stop'))),
    { message: 'stop' },
  )
})

test('work that heeds no signal is left behind as soon as it is aborted', async (t) => {
  const interruption = new AbortController()
  const work = scoped(interruption.signal, () => new Promise(() => {}))
  interruption.abort('Ctrl-C')
  t.equal(await work.catch((reason) => reason), 'Ctrl-C')
})

test('a mistake in a check is not taken for an unhealthy host', async (t) => {
  const clock = new FakeClock()
  const check = { ...scripted(clock, '+').check, run: () => Promise.reject(new TypeError('a bug')) }
  await t.rejects(run(clock, [check]), { name: 'TypeError', message: 'a bug' })
})

test('success always means that every required check was healthy in its last try, after the settle time', async () => {
  const script = fc.array(fc.constantFrom('+', '+', '+', '-', '!', '.'), { minLength: 1, maxLength: 8 })
  const one = fc.record({ script: script.map((all) => all.join('')), intervalMs: fc.integer({ min: 1, max: 3000 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(one, { maxLength: 4 }), fc.integer({ min: 1, max: 9000 }), async (all, settleMs) => {
      const clock = new FakeClock()
      const checks = all.map(({ script, intervalMs }) => {
        const { check, tries } = scripted(clock, script, { intervalMs, timeoutMs: 700 })
        return { script, check, tries }
      })
      const { verified, events, leftSleeping, at } = await run(
        clock,
        checks.map((each) => each.check),
        { settleMs, deadline: 30_000 },
      )
      if (leftSleeping > 0 || at > 30_000) return false
      if (!verified.healthy) return verified.reason !== '' && !verified.reason.includes('\n')
      const settledAt = verified.tookMs >= settleMs && events.some((event) => event.kind === 'settling')
      const lastWords = checks.every(
        ({ script, tries }) =>
          script[Math.min(tries.length, script.length) - 1] === '+' && (tries.at(-1) ?? 0) >= settleMs,
      )
      return settledAt && lastWords
    }),
    { numRuns: 300 },
  )
})
