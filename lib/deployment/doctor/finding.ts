/** What the doctor finds: one line, and what to do about it. */
import type { Problem, ProblemKind } from '../../problem.ts'

export interface Found {
  /** `bad`: a deployment would be refused or fail. `careful`: it would go through, and this wants to be looked at. */
  readonly level: 'good' | 'careful' | 'bad'
  /** One line, lower case, no full stop. */
  readonly text: string
  /** What to do, one line each. */
  readonly hints: readonly string[]
  /** What the machine printed, where that explains it. */
  readonly detail: string
  /** For the exit code; undefined of what is not bad. */
  readonly kind: ProblemKind | undefined
}

export interface Finding extends Found {
  /** The name of the check. */
  readonly about: string
}

/** One thing that is looked at. `undefined`: it does not apply, or can't be told. */
export interface DoctorCheck<Subject> {
  readonly about: string
  /** It can only be told by root. */
  readonly asRoot?: boolean
  look(subject: Subject): Found | undefined
}

export const good = (text: string): Found => ({ level: 'good', text, hints: [], detail: '', kind: undefined })

export const careful = (text: string, ...hints: readonly string[]): Found => ({
  ...good(text),
  level: 'careful',
  hints,
})

export const bad = (text: string, ...hints: readonly string[]): Found => ({
  ...good(text),
  level: 'bad',
  hints,
  kind: 'failed',
})

export const badProblem = (problem: Problem): Found => ({
  level: 'bad',
  text: problem.message,
  hints: problem.hints,
  detail: problem.detail,
  kind: problem.kind,
})
