/** Options that several verbs have. */
import type { EvaluationOptions } from '../builders/builder.ts'
import { type Limits, type Mode, modes } from '../deployment/tools.ts'
import type { Host } from '../inventory/inventory.ts'
import { closest } from '../inventory/suggestion.ts'
import { Problem } from '../problem.ts'

const usage = (message: string, hint?: string) => new Problem(message, { kind: 'usage', hints: hint ? [hint] : [] })

/** An option that stands twice is most likely a mistake, and yargs makes a list of it. */
export function once<T>(name: string, value: T | readonly T[]): T {
  if (Array.isArray(value)) throw usage(`${name} is given twice`)
  return value as T
}

const group = { hosts: 'Hosts', how: 'How', evaluation: 'Passed on to Nix', output: 'Output' }

export const selectionOptions = {
  all: { type: 'boolean', describe: 'every host of the inventory', group: group.hosts },
  hosts: {
    alias: 'f',
    type: 'string',
    requiresArg: true,
    value: 'FILE',
    describe: 'the inventory; default: hosts.yaml here or in a directory above',
    group: group.hosts,
    coerce: (value: string | undefined) => once('--hosts', value),
  },
} as const

export const outputOptions = {
  json: { type: 'boolean', describe: 'one JSON document on standard output', group: group.output },
  verbose: {
    alias: 'v',
    type: 'boolean',
    describe: 'show the output of Nix and of the switch, and stages where there is no terminal',
    group: group.output,
  },
} as const

export const modeOption = {
  mode: {
    type: 'string',
    requiresArg: true,
    value: 'MODE',
    describe: `${modes.join(', ')}; default: switch`,
    group: group.how,
    coerce: (value: string | undefined): Mode => {
      const word = once('--mode', value) ?? 'switch'
      const mode = modes.find((one) => one === word)
      if (mode) return mode
      const meant = closest(word, modes)
      throw usage(
        `there is no mode ${word}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
        `the modes are ${modes.join(', ')}`,
      )
    },
  },
} as const

export const rebootOption = {
  reboot: {
    type: 'boolean',
    describe: 'reboot for what only a boot brings, and go back when the host is not healthy after it',
    group: group.how,
  },
} as const

/** As if hosts.yaml said `reboot: when-needed` of it. */
export function rebooting(host: Host, given: { reboot: boolean | undefined; mode: Mode | undefined }): Host {
  if (!given.reboot) return host
  const mode = given.mode ?? 'switch'
  if (mode !== 'switch') throw usage(`--reboot does not go with --mode ${mode}`, 'a guarded reboot is a kind of switch')
  return { ...host, reboot: 'when-needed' }
}

export const parallelOption = {
  parallel: {
    type: 'string',
    requiresArg: true,
    value: 'N',
    describe: 'at most so many hosts at once',
    group: group.how,
    coerce: (value: string | undefined): number | undefined => wholeNumber('--parallel', value),
  },
} as const

/** From 1. */
export function wholeNumber(name: string, value: string | undefined): number | undefined {
  const text = once(name, value)
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw usage(`${name} takes a number from 1 on, not ${text === '' ? 'nothing' : text}`)
}

export const evaluationOptions = {
  impure: { type: 'boolean', describe: 'evaluation may look at its surroundings', group: group.evaluation },
  'show-trace': { type: 'boolean', describe: 'show the trace of an evaluation error', group: group.evaluation },
  refresh: { type: 'boolean', describe: 'look for new revisions of remote inputs', group: group.evaluation },
  option: {
    type: 'string',
    nargs: 2,
    value: 'NAME VALUE',
    describe: 'a setting of nix.conf; may be repeated',
    group: group.evaluation,
    coerce: pairs,
  },
  'override-input': {
    type: 'string',
    nargs: 2,
    value: 'NAME REFERENCE',
    describe: 'another source for an input of the flake; may be repeated',
    group: group.evaluation,
    coerce: pairs,
  },
} as const

/** yargs gives the words of repeated options in one list. */
function pairs(value: string | readonly string[] | undefined): [string, string][] {
  const words = value === undefined ? [] : [value].flat()
  return words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1] ?? ''] as [string, string]] : []))
}

interface GivenEvaluation {
  readonly impure: boolean | undefined
  readonly 'show-trace': boolean | undefined
  readonly refresh: boolean | undefined
  readonly option: [string, string][] | undefined
  readonly 'override-input': [string, string][] | undefined
}

export const evaluationOf = (given: GivenEvaluation): EvaluationOptions => ({
  impure: given.impure ?? false,
  showTrace: given['show-trace'] ?? false,
  refresh: given.refresh ?? false,
  options: given.option ?? [],
  overrideInputs: given['override-input'] ?? [],
})

/** A copy takes the control machine's link, a switch takes nothing but the host's own time. */
export const limitsOf = (parallel: number | undefined): Limits => ({
  preflight: parallel ?? 20,
  copy: parallel ?? 5,
  activate: parallel ?? 10,
})
