/** The kinds of builder, by what `builders:` in hosts.yaml says. */
import { builderSpec } from '../inventory/builders.ts'
import type { BuilderSpec, Inventory, StoreSpec } from '../inventory/inventory.ts'
import type { Builder, BuilderEvents, BuildStore, Evaluator } from './builder.ts'
import { type BuildHook, buildHookTo } from './build-hook.ts'
import { builderOf } from './compose.ts'
import { leastBusy } from './least-busy.ts'
import { localNix } from './local.ts'
import { sshMachine } from './ssh.ts'
import { remoteStore } from './store.ts'
import type { BuilderSurroundings } from './surroundings.ts'

export interface Builders {
  /**
   * One of those with these names, for the whole run. Of a single one nothing is asked, and nothing is connected to
   * before it is used. Rejects with a Problem when none can be reached.
   */
  choose(names: readonly string[], about: { events: BuilderEvents; signal: AbortSignal }): Promise<Builder>
  close(): Promise<void>
}

type Part = Evaluator | BuildStore

export function openBuilders(specs: Inventory['builders'], surroundings: BuilderSurroundings): Builders {
  const specOf = (name: string) => builderSpec(specs, name)
  const parts = once<Part>((name) => partOf(specOf(name), specOf, surroundings))
  const builders = once<Builder>((name) => {
    const spec = specOf(name)
    const evaluator = spec.kind === 'store' && !spec.buildHook ? spec.evaluateOn : name
    return builderOf(name, {
      evaluator: parts.get(evaluator) as Evaluator,
      store: parts.get(name) as BuildStore,
      clock: surroundings.clock,
    })
  })
  const chosen = new Map<string, Promise<Builder>>()
  return {
    async choose(names, about) {
      const [only = '', ...others] = names
      if (others.length === 0) return builders.get(only)
      const key = names.join('\n')
      const choice = chosen.get(key) ?? leastBusy(names.map(builders.get), about)
      chosen.set(key, choice)
      return await choice
    },
    async close() {
      await Promise.allSettled(parts.made().map((part) => part.close()))
    },
  }
}

/** What evaluates is a store as well; a store alone evaluates nothing, and the inventory has seen to that. */
function partOf(spec: BuilderSpec, specOf: (name: string) => BuilderSpec, surroundings: BuilderSurroundings): Part {
  if (spec.kind !== 'store') return machineOf(spec, surroundings)
  if (!spec.buildHook) return remoteStore(spec, surroundings)
  const evaluator = specOf(spec.evaluateOn) as Exclude<BuilderSpec, StoreSpec>
  const keyHost = evaluator.kind === 'ssh' ? evaluator.keyHost : undefined
  const looksAfterKeys = keyHost?.nixbuildToken !== undefined || (keyHost?.nixbuildKeys.includes('root') ?? false)
  return machineOf(evaluator, surroundings, buildHookTo(spec, looksAfterKeys))
}

const machineOf = (spec: Exclude<BuilderSpec, StoreSpec>, surroundings: BuilderSurroundings, hook?: BuildHook): Part =>
  spec.kind === 'ssh' ? sshMachine(spec, surroundings, hook) : localNix(spec.name, surroundings, hook)

function once<Value>(make: (name: string) => Value) {
  const made = new Map<string, Value>()
  return {
    get(name: string): Value {
      const value = made.get(name) ?? make(name)
      made.set(name, value)
      return value
    },
    made: () => [...made.values()],
  }
}
