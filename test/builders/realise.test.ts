import t from 'tap'
import type { BuilderEvents } from '../../lib/builders/builder.ts'
import { realise } from '../../lib/builders/realise.ts'
import type { BuildResult, NixEvent, Store } from '../../lib/nix/store.ts'
import { type DerivationPath, parseDerivationPath, parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import { Problem } from '../../lib/problem.ts'

const derivation = (name: string) => parseDerivationPath(`/nix/store/${'0'.repeat(32)}-${name}.drv`)
const output = (name: string) => parseStorePath(`/nix/store/${'1'.repeat(32)}-${name}`)
const dave = derivation('nixos-system-dave')
const erin = derivation('nixos-system-erin')
const nginx = derivation('nginx')
const shared = derivation('shared')

/** A store whose derivations are in turn those given, and what was asked of it. */
function played(validInTurn: DerivationPath[][], results: (events: (event: NixEvent) => void) => BuildResult[]) {
  const asked: string[] = []
  const store = {
    addTempRoots: async () => void asked.push('temporary roots'),
    queryValidPaths: async () => {
      asked.push('valid?')
      return new Set<StorePath>(validInTurn.shift() ?? [])
    },
    queryMissing: async (derivations: readonly DerivationPath[]) =>
      derivations.map((one) => ({
        willBuild: one === dave ? [dave, nginx, shared] : [erin, shared],
        willSubstitute: [],
        unknown: [],
        downloadSize: 0,
        narSize: 0,
      })),
    build: async (derivations: readonly DerivationPath[], onEvent: (event: NixEvent) => void) => {
      asked.push(`build ${derivations.length}`)
      await new Promise(setImmediate)
      return results(onEvent)
    },
  } as Partial<Store> as Store
  const supply = async (missing: readonly DerivationPath[]) => void asked.push(`supply ${missing.length}`)
  const about = { name: 'forge', whereLogIs: (path: string) => `the log of ${path}` }
  const told: unknown[] = []
  const progress: BuilderEvents['progress'] = (text, wantedBy) => void told.push([text, wantedBy])
  const events = { progress, warning: () => {}, note: () => {}, log: () => {} }
  return {
    asked,
    told,
    run: (...wanted: DerivationPath[]) => realise({ store, supply, about }, wanted, events),
  }
}

const built = (path: DerivationPath, name: string): BuildResult => ({
  derivation: path,
  ok: true,
  message: '',
  outputs: { out: output(name) },
})

t.test('derivations are kept from the garbage collector before they are built', async (t) => {
  const { asked, run } = played([[dave]], () => [built(dave, 'dave')])
  t.strictSame(await run(dave), new Map([[dave, output('dave')]]))
  t.strictSame(asked, ['temporary roots', 'valid?', 'build 1'])
})

t.test('a derivation that is not there is supplied, and only once', async (t) => {
  const { asked, run } = played([[erin], [dave, erin]], () => [built(dave, 'dave'), built(erin, 'erin')])
  t.equal((await run(dave, erin)).size, 2)
  t.strictSame(asked, ['temporary roots', 'valid?', 'supply 1', 'temporary roots', 'valid?', 'build 2'])

  const gone = played([[erin], [erin]], () => [built(erin, 'erin')])
  const results = await gone.run(dave, erin)
  t.match(results.get(dave), { message: 'nixos-system-dave is no longer what the flake evaluates to', stage: 'build' })
  t.equal(results.get(erin), output('erin'))
})

t.test('what is built is told with those that need it', async (t) => {
  const building = (path: DerivationPath, id: number): NixEvent => ({
    kind: 'start',
    id,
    type: 105,
    text: '',
    fields: [path, '', 1, 1],
    parent: 0,
  })
  const play = () =>
    played([[dave, erin]], (say) => {
      for (const [id, path] of [nginx, shared, derivation('unheard-of')].entries()) say(building(path, id))
      return [built(dave, 'dave'), built(erin, 'erin')]
    })
  const both = play()
  await both.run(dave, erin)
  t.strictSame(both.told, [
    ['building nginx', [dave]],
    ['building shared', [dave, erin]],
    ['building unheard-of', undefined],
  ])
})

t.test('a failed build shows the last lines of what failed below it, and where the rest is', async (t) => {
  const { run } = played([[dave, erin]], (say) => {
    say({ kind: 'start', id: 1, type: 105, text: '', fields: [nginx, '', 1, 1], parent: 0 })
    say({ kind: 'result', id: 1, type: 101, fields: ['no such header'] })
    say({ kind: 'message', text: `error: builder for '${nginx}' failed with exit code 1` })
    const message = `1 dependencies of derivation '${dave}' failed to build`
    return [{ derivation: dave, ok: false, message, outputs: {} }, built(erin, 'erin')]
  })
  const results = await run(dave, erin)
  const problem = results.get(dave)
  t.ok(problem instanceof Problem)
  t.match(problem, {
    message: 'build of nixos-system-dave failed',
    stage: 'build',
    detail: `1 dependencies of derivation '${dave}' failed to build\nlast lines of nginx:\nno such header`,
    hints: [`the log of ${nginx}`],
  })
  t.equal(results.get(erin), output('erin'), 'the other one is built')
})
