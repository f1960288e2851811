import t from 'tap'
import { isWorthwhile } from '../../../lib/copy/delta/worth.ts'

const megabit = 1e6 / 8
const megabyte = 1e6

t.test('patches are for slow lines and for many bytes', async (t) => {
  t.ok(isWorthwhile(20 * megabit, 60 * megabyte, 50))
  t.ok(isWorthwhile(50 * megabit, 300 * megabyte, 50))
  t.notOk(isWorthwhile(20 * megabit, megabyte, 1), 'less than what it takes to begin')
  t.notOk(isWorthwhile(20 * megabit, 10 * megabyte, 100), 'small paths cost the host more than the line')
  t.notOk(isWorthwhile(100 * megabit, Number.MAX_SAFE_INTEGER, 0), 'a fast line is faster than a slow disk')
  t.notOk(isWorthwhile(Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, 0), 'what was not measured')
})
