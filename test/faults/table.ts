/** What came of the cells: a table for people, and JSON. */
import { faults } from './faults.ts'
import { nameOf, type Ran } from './matrix.ts'
import { stages } from './stages.ts'

const mark = { green: '✓', red: '✗', 'not applicable': '·' } as const
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** Stages down, faults across: a letter for each fault, explained below. */
export function tableLines(all: readonly Ran[], columns: number): string[] {
  const by = new Map(all.map((ran) => [nameOf(ran.stage, ran.fault), ran]))
  const across = faults
    .map(({ name }, index) => ({ name, letter: letters[index] ?? '?' }))
    .filter(({ name }) => all.some(({ fault }) => fault === name))
  const down = stages.map(({ name }) => name).filter((name) => all.some(({ stage }) => stage === name))
  const width = Math.max(5, ...down.map((name) => name.length))
  const gap = width + 2 + across.length * 2 <= columns ? ' ' : ''
  const row = (name: string, cells: readonly string[]) => `${name.padEnd(width)}  ${cells.join(gap)}`.trimEnd()
  const legend = across.map(({ name, letter }) => `${letter} ${name}`)
  return [
    row(
      '',
      across.map(({ letter }) => letter),
    ),
    ...down.map((stage) =>
      row(
        stage,
        across.map(({ name }) => {
          const ran = by.get(nameOf(stage, name))
          return ran ? mark[ran.state] : ' '
        }),
      ),
    ),
    '',
    ...inColumns(legend, columns),
    '',
    ...redLines(all),
    ...notApplicableLines(all),
    summary(all),
  ]
}

function inColumns(words: readonly string[], columns: number): string[] {
  const width = Math.max(...words.map((word) => word.length)) + 2
  const count = Math.max(1, Math.floor(columns / width))
  const rows = Math.ceil(words.length / count)
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: count }, (_, column) => (words[column * rows + row] ?? '').padEnd(width))
      .join('')
      .trimEnd(),
  )
}

const redLines = (all: readonly Ran[]) =>
  all
    .filter(({ state }) => state === 'red')
    .flatMap((ran) => [
      `✗ ${nameOf(ran.stage, ran.fault)}`,
      `    said: ${ran.said || 'nothing'}`,
      ...ran.reasons.map((reason) => `    ${reason.replaceAll('\n', '\n    ')}`),
      '',
    ])

function notApplicableLines(all: readonly Ran[]): string[] {
  const reasons = new Map<string, Set<string>>()
  for (const {
    state,
    fault,
    reasons: [reason = ''],
  } of all) {
    if (state === 'not applicable') reasons.set(reason, (reasons.get(reason) ?? new Set()).add(fault))
  }
  const lines = [...reasons].map(([reason, names]) => `· ${[...names].join(', ')}: ${reason}`)
  return lines.length > 0 ? [...lines, ''] : []
}

const count = (all: readonly Ran[], state: Ran['state']) => all.filter((ran) => ran.state === state).length

const summary = (all: readonly Ran[]) =>
  `${count(all, 'green')} green, ${count(all, 'red')} red, ${count(all, 'not applicable')} not applicable`

export function report(all: readonly Ran[], seed: number): object {
  const withKind = (kind: Ran['kinds'][number]) =>
    all.filter(({ kinds }) => kinds.includes(kind)).map(({ stage, fault }) => nameOf(stage, fault))
  return {
    seed,
    survived: count(all, 'green'),
    stranded: withKind('stranded'),
    lies: withKind('lie'),
    leftovers: withKind('leftover'),
    nextFailed: withKind('next'),
    notApplicable: count(all, 'not applicable'),
    cells: all,
  }
}
