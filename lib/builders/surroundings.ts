/** What builders are made of, besides their lines in hosts.yaml. */
import type { Clock } from '../clock.ts'
import type { Inventory } from '../inventory/inventory.ts'
import type { Machine, Network } from '../machine/machine.ts'

/** Values that are in no file of the inventory. Rejects with a Problem when there is none. */
export interface Secrets {
  /** of an environment variable */
  variable(name: string): Promise<string>
  /** what a file holds, without the line end; nobody but its owner may read it */
  file(path: string): Promise<string>
}

export interface BuilderSurroundings {
  readonly network: Network
  /** The control machine. */
  readonly here: Machine
  readonly secrets: Secrets
  readonly clock: Clock
  readonly source: Pick<Inventory, 'flake' | 'inputs'>
}
