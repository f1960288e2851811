/** Which system `deploy rollback` goes back to, and `deploy clean` therefore keeps. */
import type { Generation, HostState } from '../activation/host-state.ts'
import { Problem } from '../problem.ts'

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
