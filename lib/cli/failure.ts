/** The end of a run that has no result: what is wrong, what to try, and the exit code. */
import { exitCodeOf, exitCodes } from '../deployment/outcome.ts'
import { Problem } from '../problem.ts'
import { bad, type Line } from '../screen/line.ts'
import type { Terminal } from '../screen/terminal.ts'
import { jsonText } from './conclude.ts'
import { problemData, problemLines } from './problem-lines.ts'

export interface Run {
  /** As they were typed: they may be what is wrong. */
  readonly words: readonly string[]
  readonly terminal: Terminal
  /** Show where in the program an internal error comes from. */
  readonly debug: boolean
}

export function tellFailure(error: unknown, { words, terminal, debug }: Run): number {
  const verbose = words.includes('-v') || words.includes('--verbose')
  const problem = error instanceof Problem ? error : undefined
  const exitCode = problem ? exitCodeOf(problem) : exitCodes.internal
  terminal.err.print(
    problem
      ? problemLines(problem, { columns: terminal.err.columns, verbose })
      : internalLines(error, debug || verbose),
  )
  if (words.includes('--json')) {
    const told = problem ?? new Problem(`internal: ${messageOf(error)}`)
    terminal.out.write(jsonText({ error: problemData(told), exitCode }))
  }
  return exitCode
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

function internalLines(error: unknown, withStack: boolean): Line[] {
  const stack = (error instanceof Error && error.stack) || ''
  return [
    ['deploy: ', bad('error: '), `internal: ${messageOf(error).split('\n')[0]}`],
    ...(withStack ? stack.split('\n').map((line): Line => [line]) : []),
  ]
}
