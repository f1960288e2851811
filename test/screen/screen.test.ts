import fc from 'fast-check'
import { test } from 'tap'
import { canAnimate, canvasOf, hasColour, hasUnicode } from '../../lib/screen/canvas.ts'
import { bad, plain, quiet } from '../../lib/screen/line.ts'
import { paint, printable } from '../../lib/screen/paint.ts'
import { fitted, lineWidth, padded, widthOf, wrapped } from '../../lib/screen/width.ts'

const anyText = fc.string({ unit: 'grapheme', maxLength: 60 })
const anyLine = fc.array(fc.oneof(anyText, anyText.map(bad), anyText.map(quiet)), { maxLength: 6 })

test('a text takes the columns that a terminal gives it', (t) => {
  t.equal(widthOf('dave'), 4)
  t.equal(widthOf('✓ déjà'), 6)
  t.equal(widthOf('e\u0301'), 1, 'an accent stands on its letter')
  t.equal(widthOf('日本'), 4)
  t.equal(widthOf('🚀'), 2)
  t.equal(padded('日本', 6), '日本  ')
  t.end()
})

test('a line that is too long is cut, and says so', (t) => {
  t.equal(plain(fitted(['dave  ', bad('rolled back')], 40)), 'dave  rolled back')
  t.equal(plain(fitted(['dave  ', bad('rolled back')], 12)), 'dave  rolle…')
  t.equal(plain(fitted(['日本語'], 4)), '日…')
  fc.assert(
    fc.property(
      anyLine,
      fc.integer({ min: 1, max: 80 }),
      (line, columns) => lineWidth(fitted(line, columns)) <= columns,
    ),
  )
  t.end()
})

test('a wrapped line loses nothing but the blanks that it was broken at', (t) => {
  t.strictSame(wrapped(['    hint: try a ', bad('longer'), ' window'], 18, 10).map(plain), [
    '    hint: try a',
    '          longer',
    '          window',
  ])
  t.strictSame(wrapped(['see https://example.org/a/long/way/down'], 14, 2).map(plain), [
    'see',
    '  https://exam',
    '  ple.org/a/lo',
    '  ng/way/down',
  ])
  fc.assert(
    fc.property(anyLine, fc.integer({ min: 8, max: 80 }), fc.integer({ min: 0, max: 4 }), (line, columns, indent) => {
      const lines = wrapped(line, columns, indent)
      const bare = (text: string) => text.replace(/\s+/g, '')
      t.equal(bare(lines.map(plain).join('')), bare(plain(line)), { diagnostic: false })
      return lines.every((one) => widthOf(plain(one).trimEnd()) <= columns)
    }),
  )
  t.end()
})

test('what a host prints can neither move the cursor nor hide what it says', (t) => {
  t.equal(printable('\u001b[31mred\u001b[0m\u001b]0;title\u0007 and\u001b[2J more'), 'red and more')
  t.equal(printable('10%\r50%\r100%\r'), '100%')
  t.equal(printable('safe\u202eelif.exe'), 'safeelif.exe')
  t.equal(printable('a\tb\u0000c\u0008'), 'a  bc')
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/\p{Cc}/u.test(printable(text))))
  t.end()
})

test('colour is put around what has a tone, after it was cut', (t) => {
  const line = [bad('✗'), ' dave ', quiet('for a long time')]
  t.equal(
    paint(line, { columns: 12, colour: true, unicode: true }),
    '\u001b[31m✗\u001b[39m dave \u001b[2mfor …\u001b[22m',
  )
  t.equal(paint(line, { columns: undefined, colour: false, unicode: true }), '✗ dave for a long time')
  t.equal(paint(line, { columns: 14, colour: false, unicode: false }), 'x dave for ...')
  t.end()
})

test('colour follows FORCE_COLOR, then NO_COLOR, then the terminal', (t) => {
  const terminal = { isTTY: true }
  const cases: [boolean, { isTTY?: boolean }, Record<string, string>][] = [
    [true, terminal, { TERM: 'xterm' }],
    [false, terminal, { TERM: 'dumb' }],
    [false, terminal, { TERM: 'xterm', NO_COLOR: '1' }],
    [true, terminal, { TERM: 'xterm', NO_COLOR: '' }],
    [true, terminal, { TERM: 'xterm', NO_COLOR: '1', FORCE_COLOR: '1' }],
    [false, {}, { TERM: 'xterm' }],
    [true, {}, { FORCE_COLOR: '1' }],
    [false, terminal, { TERM: 'xterm', FORCE_COLOR: '0' }],
  ]
  for (const [expected, stream, environment] of cases) {
    t.equal(hasColour(stream, environment), expected, JSON.stringify({ stream, environment }))
  }
  t.end()
})

test('without a locale only ASCII is written, as under cron', (t) => {
  t.equal(hasUnicode({}), false)
  t.equal(hasUnicode({ LANG: 'C' }), false)
  t.equal(hasUnicode({ LANG: 'de_DE.UTF-8' }), true)
  t.equal(hasUnicode({ LANG: 'C.utf8', TERM: 'xterm' }), true)
  t.equal(hasUnicode({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' }), false)
  t.equal(hasUnicode({ LANG: 'C.UTF-8', TERM: 'linux' }), false)
  t.end()
})

test('only a terminal has an edge to cut lines at, and only some can be written over', (t) => {
  t.equal(canvasOf({ columns: 60 }, {}).columns, undefined)
  t.equal(canvasOf({ isTTY: true, columns: 60 }, {}).columns, 60)
  t.equal(canvasOf({ isTTY: true, columns: 0 }, {}).columns, 80, 'a terminal that doesn’t know its size')
  t.equal(canAnimate({ isTTY: true }, { TERM: 'xterm' }), true)
  for (const environment of [{ TERM: 'dumb' }, {}, { TERM: 'xterm', CI: 'true' }]) {
    t.equal(canAnimate({ isTTY: true }, environment), false)
  }
  t.equal(canAnimate({}, { TERM: 'xterm' }), false)
  t.equal(canAnimate({ isTTY: true, columns: 0 }, { TERM: 'xterm' }), false, 'nobody knows how many lines it takes')
  t.end()
})
