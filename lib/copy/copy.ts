/** Ways for a closure to get to a host. A strategy is one file beside this one and one line in lib/copy/index.ts. */
import type { Store } from '../nix/store.ts'
import type { StorePath } from '../nix/store-path.ts'
import type { TransferProgress, TransferRequest, TransferResult } from '../nix/transfer.ts'
import type { Lanes } from './lanes.ts'

export interface CopyRequest {
  readonly roots: readonly StorePath[]
  readonly from: Store
  readonly to: Store
  /** what carries so many bytes of NARs between the two: they themselves, or something faster */
  openLanes(bytes: number): Promise<Lanes>
  /** tried before that (lib/copy/delta) */
  readonly sendOtherwise?: NonNullable<TransferRequest['sendOtherwise']>
  /** let the host fetch what it can from its own substituters first */
  readonly substitute: boolean
  /** free bytes in the host's store, when known: more than that is not begun */
  readonly freeBytes: number | undefined
  /** asks for them once more: what the host fetched by itself takes room as well */
  freeBytesNow(): Promise<number | undefined>
  /** called at every sign of life of either store */
  onMove(): void
  /** asked when there is too little: what could be done about it */
  whatToFree?(): Promise<string>
  onProgress(progress: TransferProgress): void
  readonly signal: AbortSignal
}

export type CopyStrategy = (request: CopyRequest) => Promise<TransferResult>
