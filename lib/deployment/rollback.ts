/** A rollback by hand: a deployment of an older toplevel that the host still has, through the same transaction. */
import type { Generation, HostState } from '../activation/host-state.ts'
import type { Host } from '../inventory/inventory.ts'
import { isStorePath } from '../nix/store-path.ts'
import { Problem } from '../problem.ts'
import { deployHost, type InTurn } from './deploy-host.ts'
import type { Outcome } from './outcome.ts'
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

/**
 * The system before the present one. A rollback makes a new generation of an old system, so systems are put in
 * the order of their first generation: going back twice goes two systems back, and never forth again.
 */
export function previousGeneration(state: HostState): Generation {
  const firsts: Generation[] = []
  for (const generation of state.generations) {
    if (!firsts.some(({ system }) => system === generation.system)) firsts.push(generation)
  }
  const present = firsts.findIndex(({ system }) => system === state.profile)
  // What runs was only tested: the system before it is the one that the next boot would run.
  const tested = state.running !== state.profile && !state.specialisation
  if (tested && firsts[present]) return firsts[present]
  const previous = present === -1 ? firsts.findLast(({ system }) => system !== state.running) : firsts[present - 1]
  if (previous) return previous
  throw new Problem('the host has no older system to go back to', {
    hints: ['`deploy generations` lists what it has; `deploy rollback --to N` goes to any of them'],
  })
}
