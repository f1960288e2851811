import fc from 'fast-check'
import t from 'tap'
import { groupsFor, memoryFor } from '../../lib/builders/memory.ts'

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
