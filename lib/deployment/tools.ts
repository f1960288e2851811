/** What a deployment is made with: effects and choices, put together by lib/main.ts. */
import type { HostProgram } from '../activation/host-program.ts'
import type { Builders } from '../builders/index.ts'
import type { CheckEdge } from '../checks/check.ts'
import type { Clock } from '../clock.ts'
import type { Codec } from '../copy/compression.ts'
import type { Inventory, TokenSource } from '../inventory/inventory.ts'
import type { KeysProgram } from '../keys/program.ts'
import type { Machine, Network } from '../machine/machine.ts'
import type { Report } from './event.ts'

export interface Tools {
  readonly network: Network
  readonly here: ControlTools
  readonly clock: Clock
  readonly program: HostProgram
  readonly checkEdge: CheckEdge
  /** ways to compress that this machine has, the best one first */
  codecs(): Promise<readonly Codec[]>
  readonly report: Report
  /** `user@machine`, for locks and history */
  readonly who: string
  readonly keys: KeyTools
  /** Fresh and unguessable: hexadecimal digits. */
  randomHex(bytes: number): string
  /** One of these builders of the inventory, the same for the whole run. Rejects with a Problem when none can be reached. */
  builder: Builders['choose']
  /** Aborted by the first Ctrl-C: stop, and leave every host safe. */
  readonly signal: AbortSignal
  /** Aborted by the second one: stop waiting, too. */
  readonly giveUp: AbortSignal
}

/** This machine, where `deploy` runs. */
export interface ControlTools {
  readonly machine: Machine
  readonly nodeVersion: string
}

/** What `deploy keys` has besides: its program for hosts, and a way to the account at nixbuild.net. */
export interface KeyTools {
  program(): Promise<KeysProgram>
  readonly builders: Inventory['builders']
  /** What hosts.yaml names. Rejects with a Problem. */
  secret(source: TokenSource): Promise<string>
  /** One command for each login. Rejects with a Problem. */
  login(signal: AbortSignal): Promise<Machine>
}

/** How many hosts may be in a stage at once. */
export interface Limits {
  readonly preflight: number
  readonly copy: number
  readonly activate: number
}

export type Mode = 'switch' | 'boot' | 'test' | 'dry-activate'
export const modes: readonly Mode[] = ['switch', 'boot', 'test', 'dry-activate']

/** For ids, which are put in order by it. */
export const timeStamp = (date: Date): string =>
  date
    .toISOString()
    .replaceAll(/[-:]|\.\d+Z$/g, '')
    .toLowerCase()
