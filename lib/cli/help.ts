/** What `--help` says, written from the same data that the arguments are read by. */

import { plain } from '../screen/line.ts'
import { widthOf, wrapped } from '../screen/width.ts'
import type { Verb } from './verb.ts'

/** Without a verb's name: of the whole program. */
export function helpText(verb: Verb, verbs: readonly Verb[], columns: number): string {
  const isWhole = verb.name === ''
  const blocks = [
    isWhole ? ['Usage: deploy HOST.. [options]', '       deploy VERB ..'] : [`Usage: ${call(verb)} [options]`],
    filled(capital(verb.summary), columns),
    ...(isWhole ? [listed('Verbs', verbRows(verbs), columns)] : []),
    ...optionBlocks(verb, columns),
    ...(verb.examples.length > 0 ? [listed('Examples', exampleRows(verb), columns)] : []),
    ...(isWhole ? [listed('Exit codes', exitCodeRows, columns)] : []),
  ]
  return blocks.map((lines) => lines.map((line) => `${line}\n`).join('')).join('\n')
}

type Row = readonly [term: string, meaning: string]

const exitCodeRows: readonly Row[] = [
  ['0', 'done: every host is deployed, staged, tested, dry-activated or unchanged'],
  ['1', 'some host is not: untouched, rolled back or left to roll back'],
  ['2', 'the arguments or the inventory are wrong; nothing was done'],
  ['3', 'some host needs hands'],
  ['4', 'hosts were unreachable or locked; nothing else went wrong'],
  ['130', 'interrupted'],
]

const placeholder = {
  '[host..]': ' HOST..',
  '[action] [host..]': ' [ACTION] HOST..',
  '<host>': ' HOST',
  '<host> [id]': ' HOST [ID]',
  '': '',
} as const
const call = ({ name, words }: Verb) => `deploy${name && ` ${name}`}${placeholder[words]}`
const capital = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

const verbRows = (verbs: readonly Verb[]): Row[] =>
  verbs.map((verb) => [call(verb).replace(/^deploy /, ''), verb.summary])

const exampleRows = ({ examples }: Verb): Row[] =>
  examples.map(([line, meaning]) => [line.replace('$0', 'deploy'), meaning])

const everywhere = { help: { alias: 'h', describe: 'show this' }, version: { describe: 'show the version' } } as const

function optionBlocks(verb: Verb, columns: number): string[][] {
  const groups = new Map<string, Row[]>()
  if (verb.words.endsWith('[host..]')) groups.set('Hosts', [['HOST..', "names, @tags or patterns like 'pi-*'"]])
  for (const [name, option] of Object.entries({ ...verb.options, ...everywhere })) {
    const { alias, describe = '', group = 'Output', value = '' } = option as Verb['options'][string]
    const term = `${alias ? `-${alias}, ` : ''}--${name}${value && ` ${value}`}`
    groups.set(group, [...(groups.get(group) ?? []), [term, describe]])
  }
  return [...groups].map(([title, rows]) => listed(title, rows, columns))
}

function listed(title: string, rows: readonly Row[], columns: number): string[] {
  const width = Math.min(28, Math.max(...rows.map(([term]) => widthOf(term)))) + 4
  return [
    `${title}:`,
    ...rows.flatMap(([term, meaning]) => {
      const start = `  ${term}`.padEnd(width)
      return start.length > width
        ? [start, ...filled(`${' '.repeat(width)}${meaning}`, columns, width)]
        : filled(`${start}${meaning}`, columns, width)
    }),
  ]
}

const filled = (text: string, columns: number, indent = 0): string[] =>
  wrapped([text], columns, indent).map((line) => plain(line).trimEnd())
