/** The control machine's own Nix: it evaluates and builds. */
import { type NixMachine, nixMachine } from './nix-machine.ts'
import type { BuilderSurroundings } from './surroundings.ts'

export function localNix(name: string, { here, source }: BuilderSurroundings): NixMachine {
  // Whoever made `here` closes it.
  const thisMachine = { ...here, name: 'this machine', close: async () => {} }
  return {
    ...nixMachine({ name, here, ...source, connect: async () => thisMachine }),
    whereLogIs: (derivation) => `see the whole log: nix log ${derivation}`,
  }
}
