/** Boot files that a power cut has left damaged are written again, from the store, before the host needs them. */
import { type HostState, probe, repairBootFiles } from '../activation/host-state.ts'
import type { Machine } from '../machine/machine.ts'
import type { Tools } from './tools.ts'

/** What the host is like afterwards: what could not be mended is damaged still. `damaged`: what was. */
export async function mendBootFiles(machine: Machine, state: HostState, tools: Pick<Tools, 'program' | 'signal'>) {
  const damaged = state.damagedBootFiles
  if (damaged.length === 0) return { state, damaged }
  await repairBootFiles(machine, tools.program, tools.signal)
  return { state: await probe(machine, tools.program, tools.signal), damaged }
}
