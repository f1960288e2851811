import t from 'tap'
import type { Builder } from '../../lib/builders/builder.ts'
import { openBuilders } from '../../lib/builders/index.ts'
import { leastBusy } from '../../lib/builders/least-busy.ts'
import { askLoad, type Load } from '../../lib/builders/load.ts'
import { systemClock } from '../../lib/edge/clock.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import { sshNetwork } from '../../lib/edge/ssh.ts'
import { Problem } from '../../lib/problem.ts'

const signal = new AbortController().signal
const plenty = 8 * 2 ** 30

function told() {
  const warnings: string[] = []
  const events = { progress() {}, warning: (text: string) => void warnings.push(text), note() {}, log() {} }
  return { warnings, about: { events, signal } }
}

/** A builder of each name, how it answers, and who was asked. */
function played(loads: Readonly<Record<string, Partial<Load> | Error>>) {
  const asked: string[] = []
  const builders = Object.entries(loads).map(([name, load]) => ({
    name,
    async load() {
      asked.push(name)
      if (load instanceof Error) throw load
      return { perProcessor: undefined, availableBytes: undefined, ...load }
    },
  }))
  return { asked, builders: builders as unknown as Builder[] }
}

t.test('the first builder that is not busy is taken, and the others are not asked', async (t) => {
  const { asked, builders } = played({ a: { perProcessor: 0.9, availableBytes: plenty }, b: { perProcessor: 0 } })
  t.equal((await leastBusy(builders, told().about)).name, 'a')
  t.strictSame(asked, ['a'])
  const unknown = played({ a: {}, b: { perProcessor: 0 } })
  t.equal((await leastBusy(unknown.builders, told().about)).name, 'a', 'what is not known is no reason')
})

t.test('of busy builders it is the one with the least load, and one without memory is the last', async (t) => {
  const cases: [Parameters<typeof played>[0], string][] = [
    [{ a: { perProcessor: 3 }, b: { perProcessor: 1.5 }, c: { perProcessor: 2 } }, 'b'],
    [{ a: { perProcessor: 0, availableBytes: 1e8 }, b: { perProcessor: 4, availableBytes: plenty } }, 'b'],
    [{ a: { perProcessor: 3 }, b: { perProcessor: 0.2 } }, 'b'],
    [{ a: { perProcessor: 2 }, b: { perProcessor: 2 } }, 'a'],
    [{ a: { availableBytes: 1e8 }, b: new Problem('b is down', { kind: 'unreachable' }) }, 'a'],
  ]
  for (const [loads, name] of cases) t.equal((await leastBusy(played(loads).builders, told().about)).name, name)
})

t.test('one that cannot be reached is left out with a warning; when none can be, each reason is told', async (t) => {
  const down = new Problem('a is down', { kind: 'unreachable', hints: ['switch it on'] })
  const { warnings, about } = told()
  t.equal((await leastBusy(played({ a: down, b: { perProcessor: 0 } }).builders, about)).name, 'b')
  t.strictSame(warnings, ['builder a is left out: a is down'])
  const none = played({ a: down, b: new Problem('no key of b is known') })
  await t.rejects(leastBusy(none.builders, about), {
    message: 'none of the builders a, b can be used',
    detail: 'a is down\nno key of b is known',
    hints: ['switch it on'],
  })
  const ours = played({ a: new TypeError('x is not a function'), b: {} })
  await t.rejects(leastBusy(ours.builders, about), { message: 'x is not a function' })
})

t.test('this machine says how busy it is', { skip: process.platform !== 'linux' && 'not Linux' }, async (t) => {
  const here = localMachine()
  t.teardown(() => here.close())
  const { perProcessor, availableBytes } = await askLoad(here, signal)
  t.ok(perProcessor !== undefined && perProcessor >= 0 && perProcessor < 1000, `${perProcessor}`)
  t.ok(availableBytes !== undefined && availableBytes > 1e6, `${availableBytes}`)
})

t.test('a choice holds for the whole run; without one, nothing is asked or connected to', async (t) => {
  const here = localMachine()
  const builders = openBuilders(
    new Map([['gone', { kind: 'ssh', name: 'gone', systems: undefined, destination: 'ssh://127.0.0.1:1' }]]),
    {
      network: sshNetwork({ configFile: '/dev/null' }),
      here,
      clock: systemClock,
      secrets: { variable: async () => '', file: async () => '' },
      source: { flake: '.', inputs: new Map() },
    },
  )
  t.teardown(() => Promise.all([builders.close(), here.close()]))
  const { warnings, about } = told()
  t.equal((await builders.choose(['gone'], about)).name, 'gone')
  t.strictSame(warnings, [])
  const chosen = await Promise.all([1, 2].map(() => builders.choose(['gone', 'local'], about)))
  t.strictSame(
    chosen.map(({ name }) => name),
    ['local', 'local'],
  )
  t.equal(chosen[0], chosen[1])
  t.strictSame(warnings, ['builder gone is left out: 127.0.0.1:1 refused the connection'])
})
