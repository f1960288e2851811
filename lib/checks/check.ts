/** Health checks. A kind of check is one file beside this one and one line in lib/checks/index.ts. */
import type { Machine } from '../machine/machine.ts'

/** One answer. `reason` says in one line what is wrong; it is empty when healthy. */
export type Health = { readonly healthy: true } | { readonly healthy: false; readonly reason: string }

/** What a check may use. */
export interface Surroundings {
  /** The host, over the fresh login that verification made. */
  readonly machine: Machine
  readonly edge: CheckEdge
}

/** The effects that checks on the control machine need; lib/edge/probe implements them. */
export interface CheckEdge {
  /** Resolves with the status of a GET; redirects are not followed. Rejects with a Problem when there was no answer. */
  httpStatus(url: string, options: { signal: AbortSignal; headers: Readonly<Record<string, string>> }): Promise<number>
  /** Resolves when a TCP connection was accepted. Rejects with a Problem when it wasn't. */
  tcpConnect(address: { host: string; port: number }, signal: AbortSignal): Promise<void>
  /** Runs a program on the control machine, without a shell, in the inventory's directory. Rejects with a Problem when it can't start. */
  runLocal(argv: readonly string[], signal: AbortSignal): Promise<{ code: number | null; output: string }>
}

export interface Check {
  /** What a person would call it: `http http://dave.local/health`. */
  readonly title: string
  /** A failing `warn` check is reported and doesn't roll back. */
  readonly severity: 'required' | 'warn'
  /** For one try, milliseconds. */
  readonly timeoutMs: number
  /** Milliseconds between two tries. */
  readonly intervalMs: number
  /**
   * One try. Rejects when aborted, or with a Problem whose message is the reason that it isn't healthy. A check may
   * remember its earlier tries: make a new one for each verification.
   */
  run(surroundings: Surroundings, signal: AbortSignal): Promise<Health>
}
