import type { Host } from '../../inventory/inventory.ts'
import type { HostFacts, MachineFacts } from './examine.ts'

/** A host, as hosts.yaml says and as it was seen. */
export interface HostSubject {
  readonly host: Host
  readonly facts: HostFacts
  readonly now: Date
}

/** A builder as it was seen, and what is asked of it. */
export interface BuilderSubject {
  readonly facts: MachineFacts
  /** hosts that are built there, by system */
  readonly wanted: ReadonlyMap<string, readonly string[]>
}
