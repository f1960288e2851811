/** The inventory, and the hosts of it that were named. */
import type { Host, Inventory } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import type { ControlMachine } from './control-machine.ts'

interface Choice {
  readonly words: readonly string[]
  readonly all: boolean | undefined
  readonly hosts: string | undefined
  readonly help: string
}

/** Rejects with a Problem of kind `usage`; help is shown to who named nothing at all. `among`: what may be named. */
export async function chosenHosts(
  choice: Choice,
  machine: ControlMachine,
  among: (inventory: Inventory) => Inventory['hosts'] = ({ hosts }) => hosts,
): Promise<{ inventory: Inventory; hosts: Host[] }> {
  const all = choice.all ?? false
  if (choice.words.length === 0 && !all) machine.terminal.err.write(`${choice.help}\n`)
  const inventory = await readInventoryAt(choice.hosts, machine)
  const { selectHosts } = await import('../inventory/select.ts')
  return { inventory, hosts: selectHosts(among(inventory), choice.words, { all }) }
}

/** For a verb that takes one host at a time. */
export async function chosenHost(
  verb: string,
  choice: Omit<Choice, 'all'>,
  machine: ControlMachine,
): Promise<{ inventory: Inventory; host: Host }> {
  const { inventory, hosts } = await chosenHosts({ ...choice, all: false }, machine)
  const [host, ...others] = hosts
  if (host && others.length === 0) return { inventory, host }
  throw new Problem(`${verb} takes one host at a time`, {
    kind: 'usage',
    hints: [`${choice.words.join(' ')} means ${hosts.map(({ name }) => name).join(', ')}`],
  })
}

export async function readInventoryAt(file: string | undefined, machine: ControlMachine): Promise<Inventory> {
  const [{ findInventory }, { readInventory }] = await Promise.all([
    import('../inventory/find.ts'),
    import('../inventory/read.ts'),
  ])
  const found = await findInventory({ directory: machine.directory, file }, machine.files)
  return readInventory(found.text, found.file, found.shownAs)
}
