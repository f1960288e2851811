/** A machine with a shell, git and Nix, reached over SSH: it evaluates and builds. */
import type { BuilderSpec } from '../inventory/inventory.ts'
import type { BuildHook } from './build-hook.ts'
import { type NixMachine, nixMachine } from './nix-machine.ts'
import type { BuilderSurroundings } from './surroundings.ts'

export function sshMachine(
  { name, destination }: BuilderSpec & { kind: 'ssh' },
  { network, here, source }: BuilderSurroundings,
  buildHook?: BuildHook,
): NixMachine {
  const login = { name, destination, elevation: 'none' } as const
  return nixMachine({ name, here, ...source, buildHook, connect: (signal) => network.connect(login, signal) })
}
