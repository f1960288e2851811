/** The builders of an inventory, and which of them a host uses. */
import type { BuilderSpec } from './inventory.ts'
import type { Finding } from './mistake.ts'
import type { RawBuilder } from './schema.ts'
import { closest } from './suggestion.ts'

/** This name is the control machine's own Nix, whether or not the file lists it. */
export const localBuilder = 'local'

export function resolveBuilder(name: string, raw: RawBuilder): BuilderSpec {
  if (raw === 'local') return { kind: 'local', name }
  if (raw.ssh !== undefined) return { kind: 'ssh', name, destination: raw.ssh }
  return { kind: 'store', name, store: raw.store ?? '', evaluateOn: raw.evaluateOn ?? localBuilder }
}

/** Stores that evaluate nowhere, on something unknown, or on each other; and a `local` that is something else. */
export function builderFindings(builders: Readonly<Record<string, RawBuilder>>, known: readonly string[]): Finding[] {
  return Object.entries(builders).flatMap(([name, raw]): Finding[] => {
    const path = ['builders', name]
    if (name === localBuilder && raw !== 'local') {
      return [{ path, message: "the name local is for the control machine's own Nix", at: 'key' }]
    }
    if (raw === 'local' || raw.evaluateOn === undefined || raw.evaluateOn === localBuilder) return []
    const where = [...path, 'evaluateOn']
    if (raw.evaluateOn === name)
      return [{ path: where, message: 'a store cannot evaluate for itself: it has no shell' }]
    if (!known.includes(raw.evaluateOn)) return [unknownBuilder(where, raw.evaluateOn, known)]
    const evaluator = builders[raw.evaluateOn]
    if (typeof evaluator === 'object' && evaluator.store !== undefined) {
      return [
        { path: where, message: `${raw.evaluateOn} is a store without a shell: name a builder with ssh, or local` },
      ]
    }
    return []
  })
}

export function unknownBuilder(path: Finding['path'], name: string, known: readonly string[]): Finding {
  const candidates = [...new Set([...known, localBuilder])]
  const suggestion = closest(name, candidates)
  const list = suggestion === undefined ? `; the builders are ${candidates.join(', ')}` : ''
  return { path, message: `there is no builder ${name}${list}`, suggestion }
}
