import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { groupsFor, memoryFor } from '../../lib/builders/memory.ts'
import { toplevelsOf } from '../../lib/nix/toplevels.ts'

t.test('groups hold every configuration once, in order, and none needs more than there is', async () => {
  const names = fc.array(fc.string(), { minLength: 1, maxLength: 50 })
  fc.assert(
    fc.property(names, fc.integer({ min: 0, max: 2 ** 36 }), (configurations, available) => {
      const groups = groupsFor(configurations, available)
      const fits = groups.every((group) => group.length === 1 || memoryFor(group.length) <= available)
      const [one] = groups
      const isLargest = groups.length === 1 || memoryFor((one?.length ?? 0) + 1) > available
      return fits && isLargest && JSON.stringify(groups.flat()) === JSON.stringify(configurations)
    }),
  )
})

t.test('however many there are, the question for a group is taken as an argument of a program', async (t) => {
  const names = Array.from({ length: 2500 }, (_, index) => `${index}`.padStart(64, 'x'))
  const groups = groupsFor(names)
  t.strictSame(groups.flat(), names)
  t.ok(groups.length <= 3)
  for (const group of groups) execFileSync('true', [toplevelsOf(group)])
})
