import t from 'tap'
import type { Builder } from '../../lib/builders/builder.ts'
import { buildHosts, evaluateHosts } from '../../lib/deployment/realise.ts'
import type { Tools } from '../../lib/deployment/tools.ts'
import { readInventory } from '../../lib/inventory/read.ts'
import { parseDerivationPath, parseStorePath } from '../../lib/nix/store-path.ts'
import { Problem } from '../../lib/problem.ts'
import { noOptions } from '../builders/workplace.ts'

const derivation = (name: string) => parseDerivationPath(`/nix/store/${'0'.repeat(32)}-${name}.drv`)
const output = (name: string) => parseStorePath(`/nix/store/${'1'.repeat(32)}-${name}`)

function hosts() {
  const text = JSON.stringify({
    flake: '.',
    builders: { forge: { ssh: 'forge' }, other: { ssh: 'other' }, gone: { ssh: 'gone' } },
    defaults: { system: 'x86_64-linux' },
    hosts: {
      dave: { ssh: 'dave', builder: 'forge' },
      erin: { ssh: 'erin', builder: ['other', 'forge'] },
      frank: { ssh: 'frank', builder: ['forge', 'gone'] },
      grace: { ssh: 'grace', builder: 'gone' },
      dora: { ssh: 'dora', builder: 'other', configuration: 'dave' },
    },
  })
  return [...readInventory(text, '/hosts.yaml').hosts.values()]
}

t.test('a builder is asked once, by whatever lists its hosts name it; a lost one stops no other', async (t) => {
  const asked: string[] = []
  const builderNamed = (name: string) =>
    ({
      name,
      async evaluate(names: readonly string[]) {
        asked.push(`${name} evaluates ${names.join(' ')}`)
        const each = (one: string) =>
          [one, { derivation: derivation(one), output: undefined, system: 'x86_64-linux' }] as const
        return { configurations: new Map(names.map(each)), revision: 'r' }
      },
      async build(derivations: readonly string[]) {
        asked.push(`${name} builds ${derivations.length}`)
        return new Map(derivations.map((one) => [one, output(one.slice(44, -4))]))
      },
    }) as unknown as Builder
  const builders = { forge: builderNamed('forge'), other: builderNamed('other') }
  const tools = {
    report() {},
    signal: new AbortController().signal,
    async builder(names: readonly string[]) {
      if (names.includes('forge')) return builders.forge
      if (names.includes('other')) return builders.other
      throw new Problem('no answer', { kind: 'unreachable' })
    },
  } as unknown as Tools

  const evaluations = await evaluateHosts(hosts(), noOptions, tools)
  const toplevels = await buildHosts(hosts(), evaluations, tools)
  t.same(asked.sort(), ['forge builds 3', 'forge evaluates dave erin frank', 'other builds 1', 'other evaluates dave'])
  t.match(toplevels.get('erin'), { path: output('erin'), revision: 'r', builder: builders.forge })
  t.match(toplevels.get('dora'), { path: output('dave'), builder: builders.other })
  t.match(toplevels.get('grace'), { message: 'builder gone: no answer', kind: 'failed' })
})
