/** From the words of the command line to a verb and its options, or to a text that was asked for. */
import yargs, { type Argv } from 'yargs'
import { closest } from '../inventory/suggestion.ts'
import { Problem } from '../problem.ts'
import type { ControlMachine } from './control-machine.ts'
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
  const parser = parserOf(words, commandLine, (verb, typed) => {
    chosen = { verb, typed }
  })
  let text = ''
  await parser.parse([...words], {}, (_error, _typed, output) => {
    text = output
  })
  // Help, or the version.
  if (text !== '') return { kind: 'text', text: `${text.trimEnd()}\n` }
  if (!chosen) throw usage('nothing to do')
  const { verb, typed } = chosen
  refuseUnknown(verb, typed)
  const help = async () => {
    const parsed = await parseArguments([...(verb.name ? [verb.name] : []), '--help'], commandLine)
    return parsed.kind === 'text' ? parsed.text : ''
  }
  const { host, _: rest, ...options } = typed
  // What follows `--` is left over by yargs, behind the name of the verb.
  const leftOver = (rest as unknown[]).slice(verb.name === '' ? 0 : 1)
  const given = { ...options, words: [...[host ?? []].flat(), ...leftOver].map(String), help }
  return { kind: 'verb', verb, run: (machine) => verb.run(given as never, machine) }
}

type OnVerb = (verb: Verb, typed: Record<string, unknown>) => void

function parserOf(words: readonly string[], { verbs, version, columns }: CommandLine, onVerb: OnVerb): Argv {
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
    .wrap(Math.min(100, columns))
    .version(version)
    .help()
    .alias('help', 'h')
    .group(['help', 'version'], 'Output:')
    .epilogue(
      'Exit codes: 0 done, 1 a host was not deployed, 2 usage, 3 a host needs hands, 4 only unreachable or locked.',
    )
    .fail((message: string, error: Error | undefined) => {
      throw error ?? usage(message.charAt(0).toLowerCase() + message.slice(1).replace(/\s*\n\s*/g, ' '))
    })
  for (const verb of verbs) {
    const hasHosts = verb.words !== ''
    parser.command(
      // One word or many, it is the verb that says what is wrong with their number.
      `${verb.name || '$0'}${hasHosts ? ' [host..]' : ''}`,
      verb.summary,
      (own) => {
        if (hasHosts) own.positional('host', { type: 'string', describe: "names, @tags or patterns like 'pi-*'" })
        own.options(verb.options)
        for (const [line, meaning] of verb.examples) own.example(line, meaning)
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
