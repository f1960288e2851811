import { test } from 'tap'
import { makeTally } from './tally.mjs'

/** Lines as tap's reporter `tap` writes them. */
const run = `TAP version 14
# Subtest: test/one.test.ts
    # Subtest: the first holds
        ok 1 - should be equal
        # Subtest: deeper
            ok 1 - skipped deeper # SKIP
            1..1
        ok 2 - deeper # time=1ms
        1..2
    ok 1 - the first holds # time=4.01ms
    ok 2 - needs zsh # SKIP no zsh
    # Subtest: skips itself
        ok 1 - no fish # SKIP
        1..1
    ok 3 - skips itself # time=0.677ms
    # Subtest: the second fails
        not ok 1 - should be equal
          ---
          source: |
        ok 9 - a line of the test's source is no result
    not ok 8 - nor is this one
          diff: |
            -2
            +1
          ...
        1..1
    not ok 4 - the second fails # time=20.682ms
      ---
      at:
        lineNumber: 6
      ...
    1..4
not ok 1 - test/one.test.ts # time=42.749ms
# Subtest: test/two.test.ts
    1..0
not ok 2 - test/two.test.ts # time=31ms
  ---
  exitCode: 1
  ...
ok 3 - test/three.test.ts # time=3ms
1..3
`

test('tests are counted, not assertions and not files, and a file that broke counts once', async (t) => {
  const said: string[] = []
  const tally = makeTally((text) => said.push(text))
  for (const line of run.split('\n')) tally.read(line)
  t.same(tally.counts, { passed: 1, failed: 2, skipped: 2 })
  const text = said.join('\n')
  t.match(text, '✓ the first holds')
  t.match(text, '- needs zsh (no zsh)')
  t.match(text, /✗ the second fails\n[\s\S]*\+1/, 'with what was expected')
  t.match(text, /two.test.ts: failed outside its tests\n[\s\S]*exitCode: 1/)
})
