/** The control machine's own Nix: it evaluates and builds. */
import type { BuildHook } from './build-hook.ts'
import { type NixMachine, nixMachine } from './nix-machine.ts'
import type { BuilderSurroundings } from './surroundings.ts'

export function localNix(name: string, { here, source }: BuilderSurroundings, buildHook?: BuildHook): NixMachine {
  // Whoever made `here` closes it.
  const thisMachine = { ...here, name: 'this machine', close: async () => {} }
  const whereLogIs = (derivation: string) => `see the whole log: nix log ${derivation}`
  // Nothing is slow between programs of one machine.
  return {
    ...nixMachine({ name, here, ...source, buildHook, whereLogIs, connect: async () => thisMachine }),
    shell: undefined,
  }
}
