import fc from 'fast-check'
import t from 'tap'
import { type Anchor, planWindows, stepsOf, type Window } from '../../../lib/copy/delta/windows.ts'

const extent = { window: 40, slack: 20 }

/** Anchors in the order of the new NAR, wherever they point to. */
const plans = fc.record({ inNew: fc.nat(2000), inOld: fc.integer({ min: 1, max: 2000 }) }).chain((sizes) =>
  fc.record({
    sizes: fc.constant(sizes),
    anchors: fc
      .array(fc.tuple(fc.nat(sizes.inNew), fc.nat(sizes.inOld)), { maxLength: 30 })
      .map((anchors): Anchor[] => anchors.toSorted(([a], [b]) => a - b)),
  }),
)

t.test('windows cover the new NAR, and hold a bounded stretch of the old one that only moves on', async () => {
  fc.assert(
    fc.property(plans, ({ sizes, anchors }) => {
      const windows = planWindows(sizes, anchors, extent)
      let before: Window = { bytes: 0, from: 0, to: 0 }
      for (const one of windows) {
        if (one.bytes < 1 || one.bytes > extent.window) return false
        if (one.from < before.from || one.to < before.to) return false
        if (one.to <= one.from || one.to > sizes.inOld) return false
        if (one.to - one.from > extent.window + 2 * extent.slack) return false
        before = one
      }
      return windows.reduce((sum, { bytes }) => sum + bytes, 0) === sizes.inNew
    }),
  )
})

t.test('who reads the old NAR once, step by step, holds the stretch of each window', async () => {
  const [first, rest] = [fc.nat(10), fc.constant(undefined)]
  fc.assert(
    fc.property(plans, fc.oneof(first, rest), ({ sizes, anchors }, from = 0) => {
      const old = Array.from({ length: sizes.inOld }, (_, index) => index)
      const windows = planWindows(sizes, anchors, extent).slice(from)
      let held: number[] = []
      let at = 0
      return stepsOf(windows).every(({ drop, skip, add, bytes }, index) => {
        const { from, to, ...window } = windows[index] as Window
        at += skip
        held = [...held.slice(drop), ...old.slice(at, at + add)]
        at += add
        const isHeld = held.length === to - from && held.every((value, place) => value === from + place)
        return isHeld && bytes === window.bytes && Math.min(drop, skip, add) >= 0
      })
    }),
  )
})

t.test('a stretch lies where the files of the same name are', async (t) => {
  // 500 bytes were put in at the beginning
  const windows = planWindows({ inNew: 1500, inOld: 1000 }, [[500, 0]], extent)
  for (const [index, { bytes, from, to }] of windows.entries()) {
    const at = index * extent.window
    if (at < 500) continue
    t.ok(from <= at - 500 && to >= at + bytes - 500, `${at}: ${from}-${to}`)
  }
  t.same(planWindows({ inNew: 0, inOld: 10 }, []), [])
})
