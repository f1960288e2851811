/** From the words of the command line to a verb and its options, or to a text that was asked for. */
import yargs, { type Argv } from 'yargs'
import { closest } from '../inventory/suggestion.ts'
import { Problem } from '../problem.ts'
import type { ControlMachine } from './control-machine.ts'
import { helpText } from './help.ts'
import type { Verb } from './verb.ts'

export type Parsed =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'verb'; readonly verb: Verb; run(machine: ControlMachine): Promise<number> }

export interface CommandLine {
  readonly verbs: readonly Verb[]
  readonly version: string
  /** How wide help may be. */
  readonly columns: number
}

/** Rejects with a Problem of kind `usage`. */
export async function parseArguments(words: readonly string[], commandLine: CommandLine): Promise<Parsed> {
  if (words[0] === 'help') return parseArguments([...words.slice(1), '--help'], commandLine)
  let chosen: { verb: Verb; typed: Record<string, unknown> } | undefined
  const parser = parserOf(words, commandLine.verbs, (verb, typed) => {
    chosen = { verb, typed }
  })
  await parser.parse()
  if (!chosen) throw usage('nothing to do')
  const { verb, typed } = chosen
  refuseUnknown(verb, typed)
  const help = helpText(verb, commandLine.verbs, Math.min(100, commandLine.columns))
  const { host, _: rest, ...options } = typed
  if (options['help']) return { kind: 'text', text: help }
  if (options['version']) return { kind: 'text', text: `${commandLine.version}\n` }
  // What follows `--` is left over by yargs, behind the name of the verb.
  const leftOver = (rest as unknown[]).slice(verb.name === '' ? 0 : 1)
  for (const [name, { coerce }] of Object.entries(verb.options)) if (coerce) options[name] = coerce(options[name])
  const given = { ...options, words: [...[host ?? []].flat(), ...leftOver].map(String), help }
  return { kind: 'verb', verb, run: (machine) => verb.run(given as never, machine) }
}

type OnVerb = (verb: Verb, typed: Record<string, unknown>) => void

function parserOf(words: readonly string[], verbs: readonly Verb[], onVerb: OnVerb): Argv {
  const parser = yargs([...words])
    .scriptName('deploy')
    .locale('en')
    .exitProcess(false)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .help(false)
    .version(false)
    .option('help', { alias: 'h', type: 'boolean', hidden: true })
    .option('version', { type: 'boolean', hidden: true })
    .fail((message: string) => {
      throw usage(message.charAt(0).toLowerCase() + message.slice(1))
    })
  for (const verb of verbs) {
    const hasHosts = verb.words !== ''
    parser.command(
      // One word or many, it is the verb that says what is wrong with their number.
      `${verb.name || '$0'}${hasHosts ? ' [host..]' : ''}`,
      // yargs lays out a help of its own at each call. Of what is hidden it has nothing to say.
      false,
      (own) => {
        if (hasHosts) own.positional('host', { type: 'string', hidden: true })
        // yargs would turn what `coerce` throws into an error of its own.
        for (const [name, option] of Object.entries(verb.options))
          own.option(name, { ...option, coerce: undefined, hidden: true })
        return own
      },
      (typed) => onVerb(verb, typed),
    )
  }
  return parser
}

/** Instead of yargs' own strictness, which knows no suggestions and stops at the first. */
function refuseUnknown(verb: Verb, typed: Readonly<Record<string, unknown>>): void {
  const known = [
    ...Object.entries(verb.options).flatMap(([name, { alias }]) => [name, ...[alias ?? []].flat()]),
    ...['help', 'h', 'version', 'host', '_', '$0'],
  ]
  const unknown = Object.keys(typed).filter((name) => !known.includes(name))
  if (unknown.length === 0) return
  const told = unknown.map((name) => {
    const meant = closest(
      name,
      known.filter((one) => one.length > 1 && one !== 'host'),
    )
    return `there is no option ${dashed(name)}${meant === undefined ? '' : `; did you mean --${meant}?`}`
  })
  throw usage(told.join(', and '), `deploy ${verb.name ? `${verb.name} ` : ''}--help lists the options`)
}

const dashed = (name: string) => (name.length === 1 ? `-${name}` : `--${name}`)

const usage = (message: string, hint = 'deploy --help lists the verbs and options') =>
  new Problem(message, { kind: 'usage', hints: [hint] })
