/** What happens, told while it happens. Whoever works emits; the progress of lib/cli shows it. */
import type { Stage } from '../problem.ts'
import type { Outcome } from './outcome.ts'

/** `host` is empty for what concerns all hosts (evaluation of many at once). */
export type DeploymentEvent =
  | { kind: 'stage'; host: string; stage: Stage }
  /** a short text that replaces the one before: what is being built, bytes and rate */
  | { kind: 'progress'; host: string; stage: Stage; text: string }
  | { kind: 'warning'; host: string; text: string }
  /** output of Nix or of the switch, one line; shown with -v */
  | { kind: 'log'; host: string; stage: Stage; line: string }
  /** a fact worth a line of its own: "activated", "verified in 2.1 s" */
  | { kind: 'note'; host: string; stage: Stage; text: string }
  | { kind: 'outcome'; host: string; outcome: Outcome }
  /** nothing more will be told of a host that was only looked at, or of all hosts at once */
  | { kind: 'done'; host: string }

export type Report = (event: DeploymentEvent) => void
