/** The end of a verb: its result on standard output, in words or as JSON, and the exit code. */
import { exitCode, exitCodes, kindOf, type Outcome, type OutcomeKind } from '../deployment/outcome.ts'
import type { Each } from '../deployment/realise.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem, partsOf } from '../problem.ts'
import { bad, careful, type Line, strong } from '../screen/line.ts'
import { padded, wrapped } from '../screen/width.ts'
import { below } from './below.ts'
import type { ControlMachine } from './control-machine.ts'
import { hostWidth, summaryLines } from './outcome-lines.ts'
import { problemData } from './problem-lines.ts'
import type { Room } from './room.ts'

interface Output {
  readonly json: boolean | undefined
  readonly verbose: boolean | undefined
}

/** What was found out about one host. */
export interface Found<T> {
  readonly host: string
  readonly result: T | Problem
}

/** By host, in the order of the hosts. */
export const foundOf = <T>(hosts: readonly Host[], each: Each<T>): Found<T>[] =>
  hosts.map(({ name }) => ({ host: name, result: each.get(name) ?? new Problem('nothing came of it', { host: name }) }))

export function concludeOutcomes(outcomes: readonly Outcome[], output: Output, machine: ControlMachine): number {
  const ends = { kinds: outcomes.map(({ kind }) => kind), someInternal: outcomes.some(({ internal }) => internal) }
  const code = codeOf(ends, machine)
  const { out } = machine.terminal
  if (output.json) out.write(jsonText({ outcomes, exitCode: code }))
  else {
    // Apart from the hosts that were told of as they ended.
    if (outcomes.length > 1 && machine.terminal.animates) machine.terminal.err.print([[]])
    const showsStack = output.verbose || machine.debug
    const shown = outcomes.map((outcome) => (outcome.internal && !showsStack ? { ...outcome, detail: '' } : outcome))
    out.print(summaryLines(shown, { columns: out.columns, verbose: output.verbose ?? false }))
  }
  return code
}

export interface Telling<T> {
  /** In words; the name of the host stands at the start of the first line, in a column of that width. */
  lines(name: string, result: T, room: Room): Line[]
  /** As JSON. */
  data(result: T, host: string): object & { readonly host?: never }
  /** The outcome that an answer counts as, when it is no success. */
  countsAs?(result: T): OutcomeKind | undefined
}

/** For verbs that look at hosts, in the order in which they were named. */
export function concludeFindings<T>(
  found: readonly Found<T>[],
  telling: Telling<T>,
  place: { output: Output; machine: ControlMachine },
): number {
  const { output, machine } = place
  const kinds = found.flatMap(({ result }): OutcomeKind[] => {
    if (result instanceof Problem) return [kindOf(result)]
    const kind = telling.countsAs?.(result)
    return kind === undefined ? [] : [kind]
  })
  const someInternal = found.some(({ result }) => result instanceof Problem && result.kind === 'internal')
  const code = codeOf({ kinds, someInternal }, machine)
  const { out } = machine.terminal
  if (output.json) {
    const hosts = found.map(({ host, result }) =>
      result instanceof Problem ? { host, error: problemData(result) } : { host, ...telling.data(result, host) },
    )
    out.write(jsonText({ hosts, exitCode: code }))
    return code
  }
  const width = hostWidth(found.map(({ host }) => host))
  const room = { columns: out.columns, verbose: output.verbose ?? false }
  const stackless = (problem: Problem) =>
    problem.kind === 'internal' && !output.verbose && !machine.debug
      ? new Problem(problem.message, { ...partsOf(problem), detail: '' })
      : problem
  for (const { host, result } of found) {
    const name = padded(host, width)
    out.print(
      result instanceof Problem ? failureLines(name, stackless(result), room) : telling.lines(name, result, room),
    )
  }
  return code
}

function failureLines(name: string, problem: Problem, room: Room): Line[] {
  const kind = kindOf(problem)
  const mild = kind === 'unreachable' || kind === 'locked'
  const word = kind === 'untouched' ? 'failed' : kind
  // It may have been the builder that failed.
  const other = problem.host !== undefined && problem.host !== name.trimEnd() ? `${problem.host}: ` : ''
  const line = [mild ? careful('✗') : bad('✗'), ` ${name}  `, strong(word), `  ${other}${problem.message}`]
  return [...wrapped(line, room.columns ?? Number.POSITIVE_INFINITY, 4), ...below(problem, room)]
}

/** Somebody who pressed Ctrl-C is told so, unless there is something worse to tell. */
export const codeOf = (
  { kinds, someInternal }: { kinds: readonly OutcomeKind[]; someInternal: boolean },
  { signal }: ControlMachine,
): number => {
  const code = exitCode(kinds, someInternal)
  return signal.aborted && code !== exitCodes.needsHands ? exitCodes.interrupted : code
}

/** What isn't known is null, so that every field is always there. */
export const jsonText = (value: object): string =>
  `${JSON.stringify(value, (_key, field: unknown) => (field === undefined ? null : field), 2)}\n`
