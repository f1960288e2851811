/** The kinds of builder, by what `builders:` in hosts.yaml says. */
import type { BuilderSpec, Inventory } from '../inventory/inventory.ts'
import type { Machine, Network } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { Builder } from './builder.ts'
import { sshBuilder } from './ssh.ts'

export interface BuilderSurroundings {
  readonly network: Network
  /** The control machine. */
  readonly here: Machine
  readonly source: Pick<Inventory, 'flake' | 'inputs'>
}

/** Nothing is connected to before the builder is used. Throws a Problem for a kind that isn't there yet. */
export function makeBuilder(spec: BuilderSpec, { network, here, source }: BuilderSurroundings): Builder {
  const { name } = spec
  switch (spec.kind) {
    case 'ssh': {
      const login = { name, destination: spec.destination, elevation: 'none' } as const
      return sshBuilder({ name, here, ...source, connect: (signal) => network.connect(login, signal) })
    }
    case 'store':
    case 'local':
      throw new Problem(`builder ${name}: builders of the kind ${spec.kind} are not supported yet`, {
        kind: 'usage',
        hints: ['use one with `ssh:`, a machine with a shell, git and Nix'],
      })
  }
}
