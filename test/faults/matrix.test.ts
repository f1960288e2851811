import { test } from 'tap'
import { faults } from './faults.ts'
import { chosenCells, nameOf, type Ran } from './matrix.ts'
import { stages } from './stages.ts'
import { report, tableLines } from './table.ts'

const names = (choice: Partial<Parameters<typeof chosenCells>[0]>) =>
  chosenCells({ only: [], seed: 0, shard: [1, 1], ...choice })
    .filter(({ notApplicable }) => notApplicable === undefined)
    .map(({ stage, fault }) => nameOf(stage.name, fault.name))

test('shards are parts of the whole, whatever the seed', (t) => {
  const whole = names({})
  const parts = [1, 2, 3].flatMap((part) => names({ seed: part, shard: [part, 3] }))
  t.same(parts.toSorted(), whole.toSorted())
  t.equal(new Set(whole).size, whole.length)
  t.not(JSON.stringify(names({ seed: 7 })), JSON.stringify(whole), 'a seed changes the order')
  t.same(names({ seed: 7 }), names({ seed: 7 }), 'always in the same way')
  t.end()
})

test('cells are chosen by a part of their names, or by a pattern of all of it', (t) => {
  t.same(names({ only: ['profile set / supervisor killed'] }), ['profile set / supervisor killed'])
  t.same(names({ only: ['profile set / supervisor*'] }), [
    'profile set / supervisor killed',
    'profile set / supervisor and guard killed',
  ])
  t.ok(names({ only: ['re-executed'] }).every((name) => name.endsWith('/ systemd re-executed')))
  t.end()
})

test('a cell that cannot be says why, and every stage and fault has one that can', (t) => {
  const cells = chosenCells({ only: [], seed: 0, shard: [1, 1] })
  t.equal(cells.length, stages.length * faults.length)
  for (const { name } of stages)
    t.ok(
      cells.some((cell) => cell.stage.name === name && !cell.notApplicable),
      name,
    )
  for (const { name } of faults.filter(({ name }) => !name.startsWith('clock')))
    t.ok(
      cells.some((cell) => cell.fault.name === name && !cell.notApplicable),
      name,
    )
  t.end()
})

test('the whole table fits on 80 columns, and says what is red', (t) => {
  const all = chosenCells({ only: [], seed: 0, shard: [1, 1] }).map(({ stage, fault, notApplicable }): Ran => {
    const kinds = stage.name === 'preflight' && fault.name === 'link silent for 5 s' ? (['lie'] as const) : []
    return {
      stage: stage.name,
      fault: fault.name,
      state: notApplicable !== undefined ? 'not applicable' : kinds.length > 0 ? 'red' : 'green',
      reasons: notApplicable !== undefined ? [notApplicable] : kinds.length > 0 ? ['lie: it said deployed'] : [],
      kinds,
      said: 'deployed (0)',
      seconds: 1,
    }
  })
  const lines = tableLines(all, 80)
  t.same(
    lines.slice(0, stages.length + 1).filter((line) => line.length > 80),
    [],
  )
  t.match(lines.join('\n'), /✗ preflight \/ link silent for 5 s\n {4}said: deployed \(0\)\n {4}lie: it said deployed/)
  t.match(report(all, 0), { lies: ['preflight / link silent for 5 s'], stranded: { length: 0 }, survived: Number })
  t.end()
})
