import fc from 'fast-check'
import t from 'tap'
import { type HostState, parseHostState } from '../../lib/activation/host-state.ts'
import { cleanedAs, generationsToDelete } from '../../lib/deployment/clean.ts'
import { previousGeneration } from '../../lib/deployment/previous-generation.ts'

const day = 86_400_000
const now = Date.parse('2026-11-26T12:00:00Z')
const system = (name: string) => `/nix/store/0123456789abcdfghijklmnpqrsvwxyz-${name}`

interface Host {
  readonly current: number
  /** by number, from 1: system and age in days */
  readonly generations: readonly (readonly [name: string, days: number])[]
  readonly running?: string
  readonly booted?: string
  readonly boot?: string
}

function hostState({ generations, current, ...host }: Host): HostState {
  const profile = generations[current - 1]?.[0] ?? ''
  const { running = profile, booted = profile, boot = profile } = host
  return parseHostState(
    [
      ...[`running ${system(running)}`, `booted ${system(booted)}`, `boot ${system(boot)}`],
      ...[`profile ${system(profile)}`, `generation ${current}`],
      ...generations.map(
        ([name, days], index) => `generation-link ${index + 1} ${(now - days * day) / 1000} ${system(name)}`,
      ),
    ].join('\n'),
  )
}

const numbers = (state: HostState, keep: number, days: number, rooted: string[] = []) =>
  generationsToDelete({ state, rooted: new Set(rooted.map(system)) }, { keep, olderThanMs: days * day }, now).map(
    ({ number }) => number,
  )

const six = [
  ['a', 60],
  ['b', 50],
  ['c', 40],
  ['d', 20],
  ['e', 10],
  ['f', 1],
] as const

t.test('a generation is kept that is among the newest or young enough', async (t) => {
  const state = hostState({ generations: six, current: 6 })
  t.same(numbers(state, 2, 0), [1, 2, 3, 4])
  t.same(numbers(state, 2, 30), [1, 2, 3])
  t.same(numbers(state, 5, 0), [1])
  t.same(numbers(state, 5, 30), [1])
  t.same(numbers(state, 6, 0), [])
  t.same(numbers(state, 1, 45), [1, 2])
})

t.test('whatever the policy, what is needed stays', async (t) => {
  const gone = (host: Partial<Host>, rooted: string[] = []) =>
    numbers(hostState({ generations: six, current: 6, ...host }), 1, 0, rooted)
  t.same(gone({}), [1, 2, 3, 4], 'what rollback would go to')
  t.same(gone({ running: 'a' }), [2, 3, 4, 5], 'what runs; from what was only tested, rollback goes to the profile')
  t.same(gone({ booted: 'b' }), [1, 3, 4], 'what was booted')
  t.same(gone({ boot: 'c' }), [1, 2, 4], 'what boots next')
  t.same(gone({}, ['d', 'a']), [2, 3], 'what is rooted elsewhere')
  t.same(gone({ current: 3 }), [1, 4, 5], 'what is in the profile')
})

t.test('rollback goes to the same system before and after, and nothing that is in use goes', async (t) => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const host = fc
    .array(fc.tuple(name, fc.integer({ min: 0, max: 90 })), { minLength: 1, maxLength: 12 })
    .chain((generations) =>
      fc.record({
        generations: fc.constant(generations),
        current: fc.integer({ min: 1, max: generations.length }),
        running: name,
        booted: name,
        boot: name,
      }),
    )
  const target = (state: HostState) => {
    try {
      return previousGeneration(state).system
    } catch {
      return 'none'
    }
  }
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 90 }), (given, keep, days) => {
      const state = hostState(given)
      const gone = numbers(state, keep, days)
      const after = { ...state, generations: state.generations.filter(({ number }) => !gone.includes(number)) }
      const systems = after.generations.map((one) => one.system)
      const had = (wanted: string) => state.generations.some((one) => one.system === wanted)
      for (const needed of [state.running, state.booted, state.boot, state.profile]) {
        if (had(needed) && !systems.includes(needed)) return false
      }
      return target(after) === target(state) && after.generations.length >= Math.min(keep, state.generations.length)
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('a cleaning counts as a success only when all of it was done', async (t) => {
  const ended = (end: 'cleaned' | 'untouched' | 'needs-hands', reason = '') =>
    cleanedAs({
      kind: 'cleaned',
      deleted: [],
      left: 1,
      bytes: 0,
      bootBytes: undefined,
      result: { end, reason } as never,
    })
  t.equal(ended('cleaned'), undefined)
  t.equal(ended('cleaned', 'the garbage collection failed'), 'untouched')
  t.equal(ended('untouched', 'the boot loader could not be set'), 'untouched')
  t.equal(ended('needs-hands', 'the boot loader names another system'), 'needs hands')
})
