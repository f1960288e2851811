import t from 'tap'
import { Activities } from '../../lib/nix/activity.ts'
import { parseLogLine } from '../../lib/nix/internal-json.ts'

const path = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}`

/** The lines that Nix would write, and what is made of them. */
function told(...entries: object[]) {
  const lines: string[] = []
  const activities = new Activities({
    progress: (text) => lines.push(text),
    log: (line) => lines.push(`| ${line}`),
  })
  for (const entry of entries) {
    const line = parseLogLine(`@nix ${JSON.stringify(entry)}`)
    if (line?.kind === 'event') activities.on(line.event)
  }
  return { lines, activities }
}

t.test('what is built, fetched and copied is said in short words', async (t) => {
  const start = (id: number, type: number, fields: unknown[], text = '') => ({
    action: 'start',
    id,
    type,
    fields,
    text,
    level: 3,
  })
  const { lines, activities } = told(
    start(1, 104, []),
    { action: 'result', id: 1, type: 105, fields: [2, 12, 1, 0] },
    start(2, 105, [path('nginx-1.26.2.drv'), '', 1, 1]),
    { action: 'result', id: 2, type: 101, fields: ['configuring'] },
    start(3, 105, [path('linux.drv'), 'ssh://arm', 1, 1]),
    start(4, 108, [path('glibc-2.40'), 'https://cache.nixos.org']),
    start(5, 100, [path('bash-5.2'), 'here', 'there']),
    start(6, 101, ['https://example.org/x.tar.gz']),
    start(7, 0, [], "evaluating derivation 'x'"),
    { action: 'stop', id: 2 },
    { action: 'result', id: 99, type: 101, fields: ['from nowhere'] },
  )
  t.strictSame(lines, [
    'building nginx-1.26.2 (3 of 12)',
    '| nginx-1.26.2> configuring',
    'building linux on ssh://arm (3 of 12)',
    'fetching glibc-2.40 from https://cache.nixos.org',
    'copying bash-5.2',
    'downloading https://example.org/x.tar.gz',
    "evaluating derivation 'x'",
    'building linux on ssh://arm (3 of 12)',
    '| from nowhere',
  ])
  t.strictSame([...activities.lastLines], [[path('nginx-1.26.2.drv'), ['configuring']]])
})

t.test('when a build ends, the one that goes on for longest is told again', async (t) => {
  const build = (id: number, name: string) => ({ action: 'start', id, type: 105, fields: [path(name), '', 1, 1] })
  const { lines } = told(
    build(1, 'linux.drv'),
    build(2, 'nginx.drv'),
    build(3, 'bash.drv'),
    { action: 'stop', id: 3 },
    { action: 'stop', id: 1 },
    { action: 'stop', id: 2 },
    { action: 'stop', id: 4 },
  )
  t.strictSame(lines, ['building linux', 'building nginx', 'building bash', 'building linux', 'building nginx'])
})

t.test('the last twenty lines of a build are kept', async (t) => {
  const printed = Array.from({ length: 30 }, (_, n) => ({ action: 'result', id: 1, type: 101, fields: [`line ${n}`] }))
  const { activities } = told({ action: 'start', id: 1, type: 105, fields: [path('x.drv'), '', 1, 1] }, ...printed)
  const lines = activities.lastLines.get(path('x.drv')) ?? []
  t.same([lines.length, lines[0], lines.at(-1)], [20, 'line 10', 'line 29'])
})

t.test('what is not in Nix’s format is an error message as it stands', async (t) => {
  t.same(parseLogLine('sh: nix: not found'), { kind: 'message', level: 0, text: 'sh: nix: not found' })
  t.same(parseLogLine('@nix {broken'), { kind: 'message', level: 0, text: '@nix {broken' })
  t.same(parseLogLine('@nix {"action":"msg","level":1,"msg":"warning: x"}'), {
    kind: 'message',
    level: 1,
    text: 'warning: x',
  })
  t.equal(parseLogLine(''), undefined)
  t.equal(parseLogLine('@nix {"action":"something new"}'), undefined)
})
