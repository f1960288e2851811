/** How a deployment ended for one host, and what that means for the exit code. The one table; the manual shows the same. */
import type { Problem } from '../problem.ts'

export const outcomeKinds = [
  'needs hands',
  'rolled back',
  'left to roll back',
  'untouched',
  'locked',
  'unreachable',
  'interrupted',
  'deployed',
  'staged',
  'tested',
  'dry-activated',
  'unchanged',
] as const

/** In the order in which a person should read them: worst first. */
export type OutcomeKind = (typeof outcomeKinds)[number]

export interface Outcome {
  readonly host: string
  readonly kind: OutcomeKind
  /** One line, lower case, no full stop. Empty when there is nothing to add. */
  readonly reason: string
  /** What the host runs now, as read back from it; empty when that is not known. */
  readonly running: string
  /** An error of `deploy` itself ended it; the reason begins with `internal: `. */
  readonly internal: boolean
  readonly hints: readonly string[]
  /** The last lines of what Nix or the switch printed, when it explains the reason. */
  readonly detail: string
  readonly warnings: readonly string[]
  /** The toplevel that was asked for. */
  readonly toplevel: string
  readonly generation: number | undefined
  readonly deploymentId: string
  readonly sentBytes: number
  readonly sentPaths: number
  /** of those bytes, what patches made needless */
  readonly sparedBytes: number
  readonly milliseconds: number
}

export const exitCodes = {
  success: 0,
  someNotDeployed: 1,
  usage: 2,
  needsHands: 3,
  onlyUnreachableOrLocked: 4,
  /** a mistake of ours (EX_SOFTWARE of sysexits.h) */
  internal: 70,
  interrupted: 130,
} as const

/**
 * 0 all unchanged, deployed, staged, tested or dry-activated; 3 when some host needs hands; 130 when interrupted;
 * 70 when an error of ours ended it for some host; 4 when every host that didn't succeed was unreachable or locked;
 * 1 otherwise.
 */
export function exitCode(kinds: readonly OutcomeKind[], someInternal = false): number {
  const has = (...wanted: OutcomeKind[]) => kinds.some((kind) => wanted.includes(kind))
  if (has('needs hands')) return exitCodes.needsHands
  if (has('interrupted')) return exitCodes.interrupted
  if (someInternal) return exitCodes.internal
  if (has('rolled back', 'left to roll back', 'untouched')) return exitCodes.someNotDeployed
  if (has('unreachable', 'locked')) return exitCodes.onlyUnreachableOrLocked
  return exitCodes.success
}

/** How it ends for a host when this is all that happens to it. */
export function kindOf({ kind }: Pick<Problem, 'kind'>): OutcomeKind {
  return kind === 'unreachable' || kind === 'locked' || kind === 'interrupted' ? kind : 'untouched'
}

/** The exit code of what ended everything before any host had an outcome. */
export const exitCodeOf = (problem: Problem): number =>
  problem.kind === 'usage' ? exitCodes.usage : exitCode([kindOf(problem)], problem.kind === 'internal')

export const worstFirst = (a: Outcome, b: Outcome): number =>
  outcomeKinds.indexOf(a.kind) - outcomeKinds.indexOf(b.kind) || a.host.localeCompare(b.host)
