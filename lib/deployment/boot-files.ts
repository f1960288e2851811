/** Boot files that a power cut has left damaged are written again, from the store, before the host needs them. */
import { type HostState, probe, repairBootFiles } from '../activation/host-state.ts'
import type { Machine } from '../machine/machine.ts'
import type { Tools } from './tools.ts'

/** What the host is like afterwards: what could not be mended is damaged still. `rewritten`: what is whole again. */
export async function mendBootFiles(machine: Machine, state: HostState, tools: Pick<Tools, 'program' | 'signal'>) {
  if (state.damagedBootFiles.length === 0) return { state, rewritten: [] }
  const rewritten = await repairBootFiles(machine, tools.program, tools.signal)
  return { state: await probe(machine, tools.program, tools.signal), rewritten }
}

/** Device trees are many. */
export const namedFiles = (files: readonly string[]): string =>
  files.length > 3 ? `${files.slice(0, 2).join(', ')} and ${files.length - 2} more` : files.join(', ')
