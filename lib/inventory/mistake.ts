/** What is wrong in hosts.yaml, and where. */
import { Problem } from '../problem.ts'

/** The way to a value: names of fields and places in lists. */
export type Path = readonly (string | number)[]

/** A mistake before anybody looked up where it stands in the text. */
export interface Finding {
  readonly path: Path
  readonly message: string
  readonly suggestion?: string | undefined
  /** Point at the name of the field instead of its value. */
  readonly at?: 'key'
}

export interface Mistake {
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** `hosts.dave.checks[2].http.url`; empty for the file as a whole. */
  readonly path: string
  readonly message: string
  readonly suggestion?: string
}

/** Everything that is wrong in one inventory, sorted by line; nothing was touched. */
export class InventoryProblem extends Problem {
  readonly mistakes: readonly Mistake[]

  /** `file` is the name that is shown before every line number. */
  constructor(file: string, mistakes: readonly Mistake[]) {
    const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`
    super(`${file} has ${count}`, {
      kind: 'usage',
      detail: mistakes.map((mistake) => mistakeLine(file, mistake)).join('\n'),
      hints: ['docs/hosts.yaml.md describes every field'],
    })
    this.mistakes = mistakes
  }
}

/** `hosts.yaml:14:5: hosts.dave.chekcs: unknown field; did you mean checks?` */
export function mistakeLine(file: string, mistake: Mistake): string {
  const path = mistake.path && `${mistake.path}: `
  const suggestion = mistake.suggestion === undefined ? '' : `; did you mean ${mistake.suggestion}?`
  return `${file}:${mistake.line}:${mistake.column}: ${path}${mistake.message}${suggestion}`
}

export function showPath(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else text += `${text && '.'}${/^[\w-]+$/.test(step) ? step : JSON.stringify(step)}`
  }
  return text
}
