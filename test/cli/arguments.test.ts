import { test } from 'tap'
import { parseArguments } from '../../lib/cli/arguments.ts'
import type { ControlMachine } from '../../lib/cli/control-machine.ts'
import { evaluationOf, limitsOf } from '../../lib/cli/options.ts'
import { verbs } from '../../lib/cli/verbs.ts'
import { verbs as reserved } from '../../lib/inventory/verbs.ts'
import { Problem } from '../../lib/problem.ts'

type Given = Record<string, unknown> & { words: string[] }

/** The real verbs, which tell what they were given instead of doing it. */
async function given(words: readonly string[]): Promise<{ verb: string; given: Given }> {
  let seen: Given | undefined
  const silent = verbs.map((verb) => ({
    ...verb,
    run: async (given: object) => {
      seen = given as Given
      return 0
    },
  }))
  const parsed = await parseArguments(words, { verbs: silent, version: '1.2.3', columns: 80 })
  if (parsed.kind !== 'verb') throw new Error(`a text: ${parsed.text}`)
  await parsed.run({} as ControlMachine)
  return { verb: parsed.verb.name, given: seen as Given }
}

async function text(words: readonly string[], columns = 80): Promise<string> {
  const parsed = await parseArguments(words, { verbs, version: '1.2.3', columns })
  return parsed.kind === 'text' ? parsed.text : ''
}

async function refusal(words: readonly string[]): Promise<string> {
  try {
    await given(words)
    return 'accepted'
  } catch (error) {
    if (!(error instanceof Problem) || error.kind !== 'usage') throw error
    return error.message
  }
}

test('the first word is a verb or a host', async (t) => {
  const cases: [string[], string, string[]][] = [
    [['dave'], '', ['dave']],
    [['dave', '@pi', 'web-*'], '', ['dave', '@pi', 'web-*']],
    [['plan', 'dave'], 'plan', ['dave']],
    [['status'], 'status', []],
    [['rollback', 'dave'], 'rollback', ['dave']],
    [['log', 'dave', '20260101t000000-aaaaaa'], 'log', ['dave', '20260101t000000-aaaaaa']],
    [['dave', 'plan'], '', ['dave', 'plan']],
    [['--', 'plan'], '', ['plan']],
    [['plan', '--', '--odd'], 'plan', ['--odd']],
    [['10', '010', '1e3'], '', ['10', '010', '1e3']],
    [['rolback', 'dave'], '', ['rolback', 'dave']],
    [[], '', []],
  ]
  for (const [words, verb, hosts] of cases) {
    const seen = await given(words)
    t.equal(seen.verb, verb, words.join(' '))
    t.strictSame(seen.given.words, hosts, words.join(' '))
  }
})

test('options may stand anywhere', async (t) => {
  for (const words of [
    ['-v', '-f', 'mine.yaml', '--mode', 'boot', 'dave'],
    ['dave', '--verbose', '--hosts=mine.yaml', '--mode=boot'],
    ['--mode', 'boot', 'dave', '-vf', 'mine.yaml'],
  ]) {
    const { given: seen } = await given(words)
    t.match(seen, { words: ['dave'], verbose: true, hosts: 'mine.yaml', mode: 'boot' }, words.join(' '))
  }
})

test('what is for Nix comes through unchanged and in order', async (t) => {
  const { given: seen } = await given([
    ...['--option', 'sandbox', 'false', '--impure', '--option', 'max-jobs', '010', 'dave'],
    ...['--override-input', 'nixpkgs', 'github:NixOS/nixpkgs/nixos-25.11', '--show-trace'],
  ])
  t.strictSame(seen.words, ['dave'])
  t.strictSame(evaluationOf(seen as never), {
    impure: true,
    showTrace: true,
    refresh: false,
    options: [
      ['sandbox', 'false'],
      ['max-jobs', '010'],
    ],
    overrideInputs: [['nixpkgs', 'github:NixOS/nixpkgs/nixos-25.11']],
  })
  t.strictSame(evaluationOf((await given(['dave'])).given as never).options, [])
})

test('what is not known is refused, with what was probably meant', async (t) => {
  t.equal(await refusal(['dave', '--paralel', '3']), 'there is no option --paralel; did you mean --parallel?')
  t.equal(await refusal(['status', '--mode', 'boot', 'dave']), 'there is no option --mode')
  t.equal(
    await refusal(['dave', '-x', '--jsn']),
    'there is no option -x, and there is no option --jsn; did you mean --json?',
  )
  t.equal(await refusal(['dave', '--no-json']), 'there is no option --no-json')
  t.equal(await refusal(['dave', '--mode', 'swich']), 'there is no mode swich; did you mean switch?')
})

test('a value that is missing, wrong or given twice is refused', async (t) => {
  t.match(await refusal(['dave', '--mode']), /not enough arguments/)
  t.match(await refusal(['--option', 'sandbox']), /not enough arguments/)
  t.equal(await refusal(['dave', '--parallel', '0']), '--parallel takes a number from 1 on, not 0')
  t.equal(await refusal(['rollback', 'dave', '--to', 'yesterday']), '--to takes a number from 1 on, not yesterday')
  t.equal(await refusal(['dave', '-f', 'a', '-f', 'b']), '--hosts is given twice')
})

test('--parallel limits every stage', (t) => {
  t.strictSame(limitsOf(3), { preflight: 3, copy: 3, activate: 3 })
  t.ok(Object.values(limitsOf(undefined)).every((limit) => limit > 1))
  t.end()
})

test('help names every verb and every option, in as many columns as there are', async (t) => {
  const whole = await text(['--help'])
  for (const verb of verbs) {
    t.ok(whole.includes(`\n  ${verb.name || 'HOST..'}`), verb.name)
    const help = await text([...(verb.name ? [verb.name] : []), '-h'])
    for (const option of Object.keys(verb.options)) t.match(help, `--${option}`)
    t.match(help, 'Examples:\n  deploy')
  }
  for (const columns of [40, 60, 100]) {
    const widest = Math.max(...(await text(['--help'], columns)).split('\n').map((line) => line.length))
    t.ok(widest <= columns, `${widest} of ${columns}`)
  }
  t.equal(await text(['help', 'plan']), await text(['plan', '--help']))
  t.equal(await text(['--version']), '1.2.3\n')
})

test('no host can be called like a verb', (t) => {
  const missing = verbs
    .map(({ name }) => name)
    .filter((name) => name && !(reserved as readonly string[]).includes(name))
  t.strictSame(missing, [])
  t.end()
})
