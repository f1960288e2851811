import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { concludeFindings, concludeOutcomes } from '../../lib/cli/conclude.ts'
import type { ControlMachine } from '../../lib/cli/control-machine.ts'
import { tellFailure } from '../../lib/cli/failure.ts'
import { summaryLines } from '../../lib/cli/outcome-lines.ts'
import { shortSystem } from '../../lib/cli/short-system.ts'
import {
  exitCode,
  exitCodeOf,
  exitCodes,
  type Outcome,
  type OutcomeKind,
  outcomeKinds,
} from '../../lib/deployment/outcome.ts'
import { Problem } from '../../lib/problem.ts'
import { plain } from '../../lib/screen/line.ts'
import { widthOf } from '../../lib/screen/width.ts'
import { recordingTerminal } from './recording-terminal.ts'

const system = '/nix/store/3s3l4cjb0123456789abcdfghijklmnp-nixos-system-dave-25.11'

const outcome = (host: string, kind: OutcomeKind, parts: Partial<Outcome> = {}): Outcome => ({
  host,
  kind,
  reason: '',
  running: system,
  internal: false,
  hints: [],
  detail: '',
  warnings: [],
  toplevel: system,
  generation: 42,
  deploymentId: '',
  sentBytes: 0,
  sentPaths: 0,
  sparedBytes: 0,
  milliseconds: 41_000,
  ...parts,
})

const deployed = outcome('dave', 'deployed', { sentBytes: 2_600_000 })
const rolledBack = outcome('erin', 'rolled back', {
  reason: 'http http://erin.lab:8080/health: answered 500 instead of 2xx',
  detail: Array.from({ length: 30 }, (_, index) => `line ${index}`).join('\n'),
  hints: ['look at the journal of web.service on the host'],
})
const down = outcome('frank', 'unreachable', { running: '', generation: undefined, reason: 'no answer from frank.lab' })

const lines = (outcomes: readonly Outcome[], columns?: number, verbose = false) =>
  summaryLines(outcomes, { columns, verbose }).map(plain)

function machineWith(parts: { columns?: number; aborted?: boolean } = {}) {
  const terminal = recordingTerminal(parts.columns)
  const signal = parts.aborted ? AbortSignal.abort() : new AbortController().signal
  return { terminal, machine: { terminal, signal } as unknown as ControlMachine }
}

test('one line for each host, and what explains a failure below it', (t) => {
  t.strictSame(lines([rolledBack, down, deployed]), [
    '✗ erin   rolled back  http http://erin.lab:8080/health: answered 500 instead of 2xx (back on generation 42, 3s3l4cjb-nixos-system-dave-25.11, 41 s)',
    '    … 10 lines more; -v shows them',
    ...Array.from({ length: 20 }, (_, index) => `    │ line ${index + 10}`),
    '    hint: look at the journal of web.service on the host',
    '✗ frank  unreachable  no answer from frank.lab (41 s)',
    '✓ dave   deployed     generation 42, 3s3l4cjb-nixos-system-dave-25.11, 41 s, 2.6 MB sent',
    '1 rolled back, 1 unreachable, 1 deployed',
  ])
  t.strictSame(lines([deployed]), [
    '✓ dave  deployed  generation 42, 3s3l4cjb-nixos-system-dave-25.11, 41 s, 2.6 MB sent',
  ])
  t.equal(lines([rolledBack], undefined, true).filter((line) => line.includes('│')).length, 30, 'all of it with -v')
  t.end()
})

test('on a narrow terminal a reason goes on below, to its end', (t) => {
  const narrow = lines([rolledBack, deployed], 40)
  t.ok(
    narrow.slice(0, -2).every((line) => widthOf(line) <= 40),
    narrow.join('\n'),
  )
  t.match(narrow.join(' ').replace(/\s+/g, ' '), rolledBack.reason)
  t.end()
})

test('what explains many hosts alike is told once', (t) => {
  const broken = {
    reason: 'evaluation failed',
    detail: "error: attribute 'x' missing",
    running: '',
    generation: undefined,
  }
  const told = lines([outcome('dave', 'untouched', broken), outcome('erin', 'untouched', broken)])
  t.strictSame(told, [
    '✗ dave  untouched  evaluation failed (41 s)',
    "    │ error: attribute 'x' missing",
    '✗ erin  untouched  evaluation failed (41 s)',
    '    as for dave',
    '2 untouched',
  ])
  t.end()
})

test('a system is told from others by the start of its hash and its name', (t) => {
  t.equal(shortSystem(system), '3s3l4cjb-nixos-system-dave-25.11')
  t.equal(shortSystem('/somewhere/else'), '/somewhere/else')
  t.equal(shortSystem(''), '')
  t.end()
})

test('the JSON document has all of it, and nothing else is on standard output', (t) => {
  const { terminal, machine } = machineWith()
  t.equal(concludeOutcomes([rolledBack, down, deployed], { json: true, verbose: false }, machine), 1)
  const document = JSON.parse(terminal.text.out)
  t.equal(document.exitCode, 1)
  t.strictSame(document.outcomes[0], JSON.parse(JSON.stringify(rolledBack)))
  t.equal(document.outcomes[1].generation, null, 'what is not known is null')
  t.equal(terminal.text.err, '')
  t.end()
})

test('the exit code follows from the worst outcome', (t) => {
  const codes: [OutcomeKind[], number][] = [
    [['deployed', 'unchanged', 'staged', 'tested'], 0],
    [['deployed', 'rolled back'], 1],
    [['left to roll back'], 1],
    [['untouched', 'unreachable'], 1],
    [['unreachable', 'locked', 'deployed'], 4],
    [['needs hands', 'interrupted', 'rolled back'], 3],
    [['interrupted', 'untouched'], 130],
    [[], 0],
  ]
  for (const [kinds, code] of codes) t.equal(exitCode(kinds), code, kinds.join(', '))
  t.strictSame(
    (['usage', 'unreachable', 'locked', 'failed', 'interrupted'] as const).map((kind) =>
      exitCodeOf(new Problem('x', { kind })),
    ),
    [2, 4, 4, 1, 130],
  )
  t.equal(new Set(outcomeKinds).size, outcomeKinds.length)
  t.end()
})

test('after Ctrl-C the exit code is 130, unless a host needs hands', (t) => {
  const after = (...outcomes: Outcome[]) =>
    concludeOutcomes(outcomes, { json: false, verbose: false }, machineWith({ aborted: true }).machine)
  t.equal(after(rolledBack), 130)
  t.equal(after(deployed), 130)
  t.equal(after(rolledBack, outcome('dave', 'needs hands')), 3)
  t.end()
})

test('what was seen on hosts is told host by host, a failure among them', (t) => {
  const found = [
    { host: 'dave', result: { answer: 42 } },
    { host: 'erin', result: new Problem('no answer', { kind: 'unreachable', host: 'erin', hints: ['is it on?'] }) },
    { host: 'grace', result: new Problem('no route', { kind: 'unreachable', host: 'forge' }) },
  ]
  const telling = {
    lines: (name: string, { answer }: { answer: number }) => [[`${name}  ${answer}`]],
    data: (result: { answer: number }) => result,
  }
  const { terminal, machine } = machineWith()
  t.equal(concludeFindings(found, telling, { output: { json: false, verbose: false }, machine }), 4)
  t.strictSame(terminal.text.out.split('\n'), [
    'dave   42',
    '✗ erin   unreachable  no answer',
    '    hint: is it on?',
    '✗ grace  unreachable  forge: no route',
    '',
  ])
  const other = machineWith()
  concludeFindings(found, telling, { output: { json: true, verbose: false }, machine: other.machine })
  const { hosts, exitCode: code } = JSON.parse(other.terminal.text.out)
  t.equal(code, 4)
  t.strictSame(hosts[0], { host: 'dave', answer: 42 })
  t.match(hosts[1], { host: 'erin', error: { message: 'no answer', kind: 'unreachable', hints: ['is it on?'] } })
  const countsAs = () => 'untouched' as const
  t.equal(concludeFindings(found, { ...telling, countsAs }, { output: { json: true, verbose: false }, machine }), 1)
  t.end()
})

test('a mistake is told with what to try, and never with a stack', (t) => {
  const problem = new Problem('there is no host davee; did you mean dave?', {
    kind: 'usage',
    hints: ['the hosts are dave'],
  })
  const terminal = recordingTerminal()
  t.equal(tellFailure(problem, { words: ['davee'], terminal, debug: true }), 2)
  t.equal(
    terminal.text.err,
    'deploy: error: there is no host davee; did you mean dave?\ndeploy: hint: the hosts are dave\n',
  )
  t.equal(terminal.text.out, '')
  t.end()
})

test('a problem names its host and its stage, and shows the end of what was printed', (t) => {
  const detail = Array.from({ length: 25 }, (_, index) => `line ${index}`).join('\n')
  const problem = new Problem('no space left', { host: 'dave', stage: 'copy', detail })
  const terminal = recordingTerminal()
  t.equal(tellFailure(problem, { words: [], terminal, debug: false }), 1)
  const told = terminal.text.err.split('\n')
  t.equal(told[0], 'deploy: error: dave: copy: no space left')
  t.equal(told[1], '    … 5 lines more; -v shows them')
  t.equal(told.length, 23)
  t.end()
})

test('all mistakes of an inventory are shown', (t) => {
  const detail = Array.from({ length: 25 }, (_, index) => `hosts.yaml:${index}:1: wrong`).join('\n')
  const terminal = recordingTerminal()
  tellFailure(new Problem('hosts.yaml has 25 mistakes', { kind: 'usage', detail }), {
    words: [],
    terminal,
    debug: false,
  })
  t.equal(terminal.text.err.match(/hosts.yaml:\d+:1: wrong/g)?.length, 25)
  t.end()
})

test('an error of ours is one line, with its stack only for who asks', (t) => {
  const error = new TypeError("can't read x of undefined")
  const terminal = recordingTerminal()
  t.equal(tellFailure(error, { words: ['dave'], terminal, debug: false }), 70)
  t.equal(terminal.text.err, "deploy: error: internal: can't read x of undefined\n")
  const loud = recordingTerminal()
  tellFailure(error, { words: ['dave', '-v'], terminal: loud, debug: false })
  t.match(loud.text.err, 'summary.test.ts')
  t.end()
})

test('with --json a failure is a document, too', (t) => {
  const terminal = recordingTerminal()
  tellFailure(new Problem('no host named', { kind: 'usage', hints: ['say one'] }), {
    words: ['--json'],
    terminal,
    debug: false,
  })
  t.match(JSON.parse(terminal.text.out), { exitCode: 2, error: { message: 'no host named', hints: ['say one'] } })
  t.match(terminal.text.err, 'deploy: error: no host named')
  t.end()
})

test('the manual has every outcome with its exit code, and every exit code', (t) => {
  const manual = readFileSync(join(import.meta.dirname, '../../docs/manual.md'), 'utf8')
  for (const kind of outcomeKinds) {
    const [, code] = new RegExp(`^\\| \`${kind}\` \\|.*\\| (\\d+) \\|$`, 'm').exec(manual) ?? []
    t.equal(Number(code), exitCode([kind]), kind)
  }
  for (const code of Object.values(exitCodes)) t.match(manual, new RegExp(`^\\| ${code} \\| \\S`, 'm'), String(code))
  t.end()
})
