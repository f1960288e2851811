import fc from 'fast-check'
import { test } from 'tap'
import { findInventory, type InventoryFiles } from '../../lib/inventory/find.ts'
import { readInventory } from '../../lib/inventory/read.ts'
import { selectHosts } from '../../lib/inventory/select.ts'
import { verbs } from '../../lib/inventory/verbs.ts'
import { Problem } from '../../lib/problem.ts'

const inventory = readInventory(
  `
defaults: { system: aarch64-linux }
hosts:
  zoe: { ssh: zoe, tags: [home] }
  pi-1: { ssh: pi-1, tags: [pi, home] }
  pi-2: { ssh: pi-2, tags: [pi] }
  web.example.org: { ssh: web }
  rollbacks: { ssh: x }
`,
  '/x/hosts.yaml',
)

const selected = (...words: string[]) => selectHosts(inventory.hosts, words, { all: false }).map((host) => host.name)

function refusal(run: () => unknown): Problem {
  try {
    run()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('not refused')
}

test('hosts are named one by one, by tag or by pattern, each once and in the order of the file', async (t) => {
  t.same(selected('pi-2', 'zoe'), ['zoe', 'pi-2'])
  t.same(selected('@home'), ['zoe', 'pi-1'])
  t.same(selected('pi-*'), ['pi-1', 'pi-2'])
  t.same(selected('pi-?', '@pi', 'pi-1'), ['pi-1', 'pi-2'])
  t.same(selected('web.*.org'), ['web.example.org'])
  t.same(selected('*'), ['zoe', 'pi-1', 'pi-2', 'web.example.org', 'rollbacks'])
  t.same(
    selectHosts(inventory.hosts, [], { all: true }).map((host) => host.name),
    selected('*'),
  )
})

/** What is asked for, and the message that refuses it. */
const refused: [words: string[], message: string][] = [
  [[], 'no host named'],
  [['pi-3'], 'there is no host pi-3; did you mean pi-1?'],
  [['rolback'], 'there is no host rolback; did you mean the verb rollback?'],
  [['rollbakcs'], 'there is no host rollbakcs; did you mean rollbacks?'],
  [['rollback'], 'rollback is a verb and stands first: deploy rollback …'],
  [['statsu', 'zoe'], 'there is no host statsu; did you mean the verb status?'],
  [['pi'], 'there is no host pi; did you mean @pi?'],
  [['@hoem'], 'no host has the tag hoem; did you mean @home?'],
  [['@nothing'], 'no host has the tag nothing'],
  [['@'], 'no host has the tag '],
  [['pj-*'], 'no host matches pj-*'],
  [['web?example'], 'no host matches web?example'],
  [['webXexample.org'], 'there is no host webXexample.org; did you mean web.example.org?'],
  [[''], 'there is no host '],
]

for (const [words, message] of refused) {
  test(`deploy ${words.join(' ') || '(nothing)'} is refused before any work: ${message}`, async (t) => {
    const problem = refusal(() => selected(...words))
    t.match(problem, { kind: 'usage', message })
    t.match(problem.hints.at(-1), /^the hosts are zoe, pi-1, pi-2,/)
  })
}

test('every word that names no host is told of', async (t) => {
  const problem = refusal(() => selected('zoe', 'xxxx', '@pii'))
  t.equal(problem.message, '2 words name no host')
  t.same(problem.detail.split('\n'), ['there is no host xxxx', 'no host has the tag pii; did you mean @pi?'])
})

test('--all beside names is refused, since one of them is a slip', async (t) => {
  const problem = refusal(() => selectHosts(inventory.hosts, ['zoe'], { all: true }))
  t.match(problem, { kind: 'usage', message: '--all means every host: leave out zoe, or leave out --all' })
})

test('no word is ever taken for more than it says', async () => {
  const words = fc.oneof(fc.string(), fc.constantFrom(...verbs, '.*', '[a-z]+', 'pi-1|zoe', '(.*)', '\\', '^zoe$', '+'))
  fc.assert(
    fc.property(words, (word) => {
      if (/[*?@]/.test(word)) return true
      try {
        return selected(word).join() === word
      } catch (error) {
        return error instanceof Problem
      }
    }),
  )
})

const filesWith = (...existing: string[]): InventoryFiles => ({
  read: async (path) => (existing.includes(path) ? `text of ${path}` : undefined),
})

test('the inventory is hosts.yaml here, or in the nearest directory above', async (t) => {
  const files = filesWith('/home/me/machines/hosts.yaml', '/hosts.yaml')
  t.same(await findInventory({ directory: '/home/me/machines' }, files), {
    text: 'text of /home/me/machines/hosts.yaml',
    file: '/home/me/machines/hosts.yaml',
    shownAs: 'hosts.yaml',
  })
  t.match(await findInventory({ directory: '/home/me/machines/a/b' }, files), {
    file: '/home/me/machines/hosts.yaml',
    shownAs: '../../hosts.yaml',
  })
  t.match(await findInventory({ directory: '/home/you' }, files), { file: '/hosts.yaml', shownAs: '../../hosts.yaml' })
})

test('a file named with -f is the inventory, and no other is looked for', async (t) => {
  const files = filesWith('/home/me/hosts.yaml', '/home/lab.yaml')
  const search = { directory: '/home/me', file: '../lab.yaml' }
  t.match(await findInventory(search, files), { file: '/home/lab.yaml', shownAs: '../lab.yaml' })
  await t.rejects(findInventory({ directory: '/home/me', file: 'no.yaml' }, files), {
    kind: 'usage',
    message: 'there is no file no.yaml',
  })
})

test('without any inventory the way out is said', async (t) => {
  await t.rejects(findInventory({ directory: '/home/me' }, filesWith()), {
    kind: 'usage',
    message: 'there is no hosts.yaml here, nor in any directory above',
  })
})
