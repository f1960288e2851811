/** A rollback by hand: a deployment of an older toplevel that the host still has, through the same transaction. */
import type { Generation, HostState } from '../activation/host-state.ts'
import type { Host } from '../inventory/inventory.ts'
import { isStorePath } from '../nix/store-path.ts'
import { Problem } from '../problem.ts'
import { deployHost, type InTurn } from './deploy-host.ts'
import type { Outcome } from './outcome.ts'
import { previousGeneration } from './previous-generation.ts'
import type { Mode, Tools } from './tools.ts'

export interface Rollback {
  readonly host: Host
  /** a generation's number; without it, the system before the present one */
  readonly to: number | undefined
  readonly mode: Mode
}

/** Never rejects. Nothing is evaluated, built or copied. */
export function rollBackHost({ host, to, mode }: Rollback, tools: Tools, inTurn: InTurn): Promise<Outcome> {
  return deployHost({
    host,
    mode,
    tools,
    inTurn,
    async toplevel(state) {
      const generation = to === undefined ? previousGeneration(state) : generationNumber(state, to)
      if (!isStorePath(generation.system)) return new Problem(`generation ${generation.number} is no store path`)
      tools.report({
        kind: 'note',
        host: host.name,
        stage: 'preflight',
        text: `going back to generation ${generation.number} of ${new Date(generation.time).toISOString()}`,
      })
      return { path: generation.system, revision: '', builder: undefined }
    },
  })
}

function generationNumber(state: HostState, wanted: number): Generation {
  const found = state.generations.find(({ number }) => number === wanted)
  if (found) return found
  const numbers = state.generations.map(({ number }) => number)
  throw new Problem(`the host has no generation ${wanted}`, {
    hints: [numbers.length > 0 ? `it has ${numbers.join(', ')}` : 'its system profile has no generations'],
  })
}
