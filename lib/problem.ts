/** What went wrong, in the words a person will read: the message is lower case and has no full stop. */

/** The steps of a deployment, always named like this and always in this order. */
export const stages = [
  'preflight',
  'evaluate',
  'build',
  'copy',
  'activate',
  'verify',
  'confirm',
  'roll back',
  'record',
] as const
export type Stage = (typeof stages)[number]

/** Whose fault it is decides the exit code, in lib/deployment/outcome.ts. */
export type ProblemKind =
  /** bad arguments or a bad inventory: nothing was touched */
  | 'usage'
  /** the machine can't be reached or logged in to */
  | 'unreachable'
  /** another deployment holds the host */
  | 'locked'
  /** a mistake of ours */
  | 'internal'
  /** anything else that ended a deployment */
  | 'failed'
  /** the person at the terminal (or a signal) asked us to stop */
  | 'interrupted'

export interface ProblemParts {
  kind?: ProblemKind
  /** what to try next, one line each */
  hints?: readonly string[]
  /** what the other side printed, shown indented below the message */
  detail?: string
  host?: string
  stage?: Stage
  cause?: unknown
}

/** An error that is part of the product: it is shown without a stack trace. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly kind: ProblemKind
  readonly hints: readonly string[]
  readonly detail: string
  readonly host: string | undefined
  readonly stage: Stage | undefined

  constructor(message: string, parts: ProblemParts = {}) {
    super(message, parts.cause === undefined ? {} : { cause: parts.cause })
    this.kind = parts.kind ?? 'failed'
    this.hints = parts.hints ?? []
    this.detail = parts.detail ?? ''
    this.host = parts.host
    this.stage = parts.stage
  }

  /** The same problem, told of a host and a stage where it doesn't name its own yet. */
  at(place: { host?: string; stage?: Stage }): Problem {
    return new Problem(this.message, { ...place, ...partsOf(this) })
  }
}

/** What a Problem was made of, for making one that says it better. */
export const partsOf = ({ kind, hints, detail, cause, host, stage }: Problem): ProblemParts => ({
  kind,
  hints,
  detail,
  cause,
  ...(host !== undefined && { host }),
  ...(stage !== undefined && { stage }),
})
