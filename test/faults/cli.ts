/** `npm run faults`, once everything is installed: started by test/faults/run. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Choice, chosenCells, nameOf, type Ran, runCells } from './matrix.ts'
import { report, tableLines } from './table.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '0' },
    shard: { type: 'string', default: '1/1' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const usage = `npm run faults -- [--only TEXT].. [--seed N] [--shard N/COUNT] [--list]
  --only TEXT      cells with TEXT in one of their names, or \`STAGE / FAULT\`, with * for anything
  --seed N         shuffles the cells; 0 (the default) leaves them in order
  --shard N/COUNT  the Nth of COUNT parts
  --list           names the cells, and runs none`

const [part = 0, count = 0] = values.shard.split('/').map(Number)
const seed = Number(values.seed)
if (values.help || !(part >= 1 && part <= count) || !Number.isInteger(seed)) {
  say(usage)
  process.exit(values.help ? 0 : 2)
}
const choice: Choice = { only: values.only, seed, shard: [part, count] }
const cells = chosenCells(choice)
if (cells.length === 0) {
  say('no such cell: --list names them')
  process.exit(2)
}

if (values.list) {
  for (const { stage, fault, notApplicable } of cells)
    say(nameOf(stage.name, fault.name) + (notApplicable === undefined ? '' : `  (not applicable: ${notApplicable})`))
} else {
  const toRun = cells.filter(({ notApplicable }) => notApplicable === undefined).length
  let done = 0
  const tell = (ran: Ran) => {
    if (ran.state === 'not applicable') return
    done++
    say(
      `${String(done).padStart(String(toRun).length)}/${toRun} ${ran.state === 'red' ? '✗' : '✓'} ${nameOf(ran.stage, ran.fault)} (${ran.seconds} s): ${ran.said}`,
    )
    for (const reason of ran.reasons) say(`      ${reason.replaceAll('\n', '\n      ')}`)
  }
  const all = await runCells(cells, tell)
  say('')
  for (const line of tableLines(all, process.stdout.columns ?? 160)) say(line)
  writeFileSync(join(import.meta.dirname, '../../faults.json'), `${JSON.stringify(report(all, seed), null, 2)}\n`)
  process.exitCode = all.some(({ state }) => state === 'red') ? 1 : 0
}
