/** What a verb gets from the machine that it is run on. Put together by lib/main.ts; nothing of it is made before it is asked for. */
import type { Clock } from '../clock.ts'
import type { Report } from '../deployment/event.ts'
import type { Tools } from '../deployment/tools.ts'
import type { InventoryFiles } from '../inventory/find.ts'
import type { Inventory } from '../inventory/inventory.ts'
import type { Terminal } from '../screen/terminal.ts'

export interface ControlMachine {
  readonly terminal: Terminal
  readonly clock: Clock
  readonly files: InventoryFiles
  /** Where the command was typed; absolute. */
  readonly directory: string
  /** Aborted by the first Ctrl-C and by the signals that ask a program to end. */
  readonly signal: AbortSignal
  /** Show where in the program an internal error comes from. */
  readonly debug: boolean
  /** The way to hosts and builders. The caller closes it. */
  open(inventory: Inventory, report: Report): Promise<OpenTools>
}

export interface OpenTools {
  readonly tools: Tools
  close(): Promise<void>
}
