/** A login, what it shares with those of the hosts on its way, and what it has become. */
import type { PinnedKey } from '../../machine/machine.ts'
import type { HostConfigs } from './host-config.ts'
import type { Client } from './ssh2.ts'

/** What all hops of one connection share. */
export interface Attempt {
  readonly configs: HostConfigs
  readonly signal: AbortSignal
  /** Notes what is being waited for, for the message when the time is up. */
  doing(step: string): void
  /** Something that a person should know, and that ends nothing. */
  warn(text: string): void
  /** For the next hop. Throws a Problem when there are too many. */
  deeper(): Attempt
}

export interface Session {
  readonly client: Client
  /** Aborted when the connection is gone, whoever ended it. */
  readonly over: AbortSignal
  close(): Promise<void>
}

export interface Way {
  /** the hops before this host, when they were given by another host's ProxyJump */
  readonly jumps?: readonly string[]
  readonly pinned?: PinnedKey | undefined
}
