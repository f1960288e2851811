/** `npm run bench`, once everything is installed: started by bench/run. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cases } from './cases/index.ts'
import type { Row } from './measure.ts'
import { openPlace } from './place.ts'
import { results, table } from './report.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const usage = `npm run bench -- [CASE..] [--runs N] [--list]
  CASE      only these cases; all without any
  --runs N  how often each is measured: 5
  --list    names the cases, and runs none`

const runs = Number(values.runs)
const unknown = positionals.filter((name) => !cases.some((one) => one.name === name))
if (values.help || unknown.length > 0 || !(runs >= 1)) {
  say(unknown.length > 0 ? `there is no case ${unknown.join(', ')}: --list names them` : usage)
  process.exit(values.help ? 0 : 2)
}
if (values.list) {
  for (const { name, summary } of cases) say(`${name.padEnd(18)} ${summary}`)
  process.exit(0)
}

const file = join(import.meta.dirname, 'results.json')
const chosen = cases.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
const place = await openPlace(say)
const rows: Row[] = []
try {
  for (const one of chosen) {
    say(`\n${one.name}: ${one.summary}`)
    const found = await one.run({ place, runs, say })
    for (const line of table(found).slice(2)) say(line)
    rows.push(...found)
    // after each, so that what was measured is not lost with what comes after it
    const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {}
    writeFileSync(file, `${JSON.stringify({ ...before, ...results(rows) }, null, 2)}\n`)
  }
} finally {
  place.close()
}
say(
  `\n${cpus().length} processors, load ${loadavg()
    .map((load) => load.toFixed(1))
    .join(' ')}\n`,
)
for (const line of table(rows)) say(line)
