import t from 'tap'
import type { NixSetting } from '../../lib/builders/builder.ts'
import { watchLimits } from '../../lib/builders/time-limits.ts'
import { FakeClock } from '../checks/fake-clock.ts'

const derivation = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}.drv`

/** A clock that goes on until a limit is met; then at which second, and what is said. */
function watched(settings: readonly NixSetting[]) {
  const clock = new FakeClock()
  const limits = watchLimits(settings, { clock, whereLogIs: (path) => `the log of ${path}`, onLimit: () => met() })
  let met = () => {}
  const limit = new Promise<void>((resolve) => {
    met = resolve
  })
  const start = (id: number, name: string) =>
    limits.on({ kind: 'start', id, type: 105, text: '', fields: [derivation(name)], parent: 0 })
  const says = (id: number) => limits.on({ kind: 'result', id, type: 101, fields: ['a line'] })
  const stop = (id: number) => limits.on({ kind: 'stop', id })
  const passes = (seconds: number) => clock.until(clock.sleep(seconds * 1000))
  const untilLimit = async () => {
    await clock.until(limit)
    return clock.monotonic() / 1000
  }
  return { clock, limits, start, says, stop, passes, untilLimit }
}

t.test('a build that goes on for too long ends, however much it says', async (t) => {
  const { limits, start, says, stop, passes, untilLimit } = watched([
    ['timeout', '9'],
    ['timeout', '30'],
  ])
  start(1, 'short')
  start(2, 'long')
  await passes(20)
  stop(1)
  says(2)
  t.equal(limits.problem(), undefined)
  t.equal(await untilLimit(), 30, 'the last one counts')
  t.match(limits.problem(), {
    message: 'build of long failed',
    detail: 'timed out after 30 seconds',
    hints: [`the log of ${derivation('long')}`, /^the limit is `timeout` of --option/],
  })
})

t.test('a build that says nothing for too long ends, and one that goes on saying something does not', async (t) => {
  const { limits, start, says, passes, untilLimit } = watched([
    ['max-silent-time', '10'],
    ['timeout', '0'],
  ])
  start(1, 'talkative')
  for (let turn = 0; turn < 10; turn++) {
    await passes(9)
    says(1)
  }
  t.equal(limits.problem(), undefined)
  t.equal(await untilLimit(), 100)
  t.match(limits.problem()?.detail, 'timed out after 10 seconds of silence')
})

t.test('without a limit nothing is watched, and at the end nothing more is', async (t) => {
  const without = watched([['max-jobs', '3']])
  without.start(1, 'long')
  t.equal(without.clock.sleeping, 0)
  const { clock, limits, start } = watched([['timeout', '5']])
  start(1, 'long')
  t.equal(clock.sleeping, 1)
  limits.end()
  t.equal(clock.sleeping, 0)
})
