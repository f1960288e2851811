import { spawn } from 'node:child_process'
import { realpathSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import tap, { test } from 'tap'
import { compiled } from './compiled.ts'

const { directory, remove } = compiled()
tap.teardown(remove)

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Options {
  readonly cwd: string
  readonly env?: Record<string, string>
  /** Where the package is. */
  readonly from?: string
}

/** Under cron's environment, or less: env(1) keeps away even what tap would hand on to programs. */
function deploy(words: readonly string[], { cwd, env = {}, from = directory }: Options): Promise<Ended> {
  const variables = Object.entries({ PATH: '/usr/bin:/bin', ...env }).map(([name, value]) => `${name}=${value}`)
  const argv = ['-i', ...variables, process.execPath, join(from, 'bin/deploy'), ...words]
  const child = spawn('/usr/bin/env', argv, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const written = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    written.out += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    written.err += chunk.toString()
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...written, code })))
}

// Port 1 of this machine has nobody behind it; the name is looked up nowhere else.
const inventory = `
flake: .
builders:
  forge: { ssh: ssh://forge@127.0.0.1:1 }
defaults: { builder: forge, system: x86_64-linux }
hosts:
  dave: { ssh: ssh://my_username@127.0.0.1:1, tags: [pi] }
  erin: { ssh: ssh://my_username@127.0.0.1:1, tags: [pi] }
`

test('help, version and completion need nothing', async (t) => {
  const cwd = t.testdir({})
  const help = await deploy(['--help'], { cwd })
  t.match(help, { code: 0, err: '' })
  t.match(help.out, /^Usage: deploy HOST/)
  t.match(await deploy(['--version'], { cwd }), { code: 0, out: /^\d+\.\d+\.\d+\n$/, err: '' })
  const completion = await deploy(['completion'], { cwd })
  t.match(completion, { code: 0, out: 'complete -o default -F _deploy deploy' })
  const names = await deploy(['completion', '--names'], { cwd: t.testdir({ 'hosts.yaml': inventory }) })
  t.match(names.out.split('\n'), ['plan'])
  for (const name of ['rollback', 'dave', 'erin', '@pi']) t.ok(names.out.split('\n').includes(name), name)
})

test('whoever names no host is helped, and nothing is done', async (t) => {
  const cwd = t.testdir({ 'hosts.yaml': inventory })
  for (const words of [[], ['plan'], ['build'], ['check'], ['status'], ['rollback'], ['generations'], ['history']]) {
    const ended = await deploy(words, { cwd })
    t.equal(ended.code, 2, words.join(' '))
    t.match(ended.err, /^Usage: deploy/)
    t.match(ended.err, 'deploy: error: no host named\ndeploy: hint: ')
    t.equal(ended.out, '')
  }
})

test('a mistake in the words or in the inventory ends with 2, and never with a stack', async (t) => {
  const cwd = t.testdir({ 'hosts.yaml': inventory, 'wrong.yaml': 'hosts:\n  dave: { shs: dave.lan }\n' })
  const cases: [string[], string | RegExp][] = [
    [['rolback', 'dave'], 'there is no host rolback; did you mean the verb rollback?'],
    [['davee'], 'there is no host davee; did you mean dave?'],
    [['@pie'], 'did you mean @pi?'],
    [['dave', '--jsn'], 'there is no option --jsn; did you mean --json?'],
    [['rollback', '@pi'], 'rollback takes one host at a time'],
    [['--all', 'dave'], '--all means every host'],
    [['dave', '-f', 'nowhere.yaml'], 'there is no file nowhere.yaml'],
    [['dave', '-f', 'wrong.yaml'], /wrong\.yaml:2:11: hosts\.dave\.shs: unknown field; did you mean ssh\?/],
  ]
  for (const [words, message] of cases) {
    const ended = await deploy(words, { cwd, env: { DEPLOY_DEBUG: '1' } })
    t.equal(ended.code, 2, words.join(' '))
    t.match(ended.err, message)
    t.match(ended.err, /^deploy: error: /)
    t.notMatch(ended.err, /^\s+at /m)
    t.equal(ended.out, '')
  }
  t.match(await deploy(['dave'], { cwd: '/' }), { code: 2, err: 'there is no hosts.yaml here' })
})

test('under cron a deployment prints its summary and nothing else', async (t) => {
  const cwd = t.testdir({ 'hosts.yaml': inventory })
  const ended = await deploy(['--all'], { cwd })
  t.equal(ended.code, 4)
  t.equal(ended.err, '')
  const [dave, erin, totals, ...rest] = ended.out.split('\n').filter((line) => !/^ {4}/.test(line))
  t.match(dave, /^x dave {2}unreachable {2}\S.* \(.*s\)$/)
  t.match(erin, /^x erin {2}unreachable/)
  t.equal(totals, '2 unreachable')
  t.strictSame(rest, [''])
})

test('with --json the same is one document', async (t) => {
  const cwd = t.testdir({ 'hosts.yaml': inventory })
  for (const words of [
    ['@pi', '--json'],
    ['status', '@pi', '--json'],
    ['history', '@pi', '--json'],
  ]) {
    const ended = await deploy(words, { cwd })
    t.equal(ended.code, 4, words.join(' '))
    const document = JSON.parse(ended.out)
    t.equal(document.exitCode, 4)
    const hosts = (document.outcomes ?? document.hosts).map(({ host }: { host: string }) => host)
    t.strictSame(hosts, ['dave', 'erin'])
  }
  const mistake = await deploy(['--json', 'davee'], { cwd })
  t.match(JSON.parse(mistake.out), { exitCode: 2, error: { message: /there is no host davee/ } })
})

test('an error of ours is one line and 70, with its stack on demand', async (t) => {
  const cwd = t.testdir({ 'hosts.yaml': inventory })
  // A package without the programs for the host is not the user's mistake.
  const other = compiled()
  t.teardown(other.remove)
  rmSync(join(other.directory, 'dist/lib/activation/host'), { recursive: true })
  const from = other.directory
  const quiet = await deploy(['status', 'dave'], { cwd, from })
  t.equal(quiet.code, 70)
  t.match(quiet.err, /^deploy: error: internal: .*\n$/)
  const loud = await deploy(['status', 'dave'], { cwd, from, env: { DEPLOY_DEBUG: '1' } })
  t.match(loud.err, /\n\s+at /)
})

/** Files, and modules of Node as `NativeModule NAME`. */
async function loadedBy(words: readonly string[], cwd: string): Promise<string[]> {
  const NODE_OPTIONS = `--require=${join(cwd, 'loaded.cjs')}`
  const { err } = await deploy(words, { cwd, env: { NODE_OPTIONS } })
  return err.split('\n')
}

const loadedProgram = `process.on('exit', () => {
  require('node:fs').writeSync(2, [...Object.keys(require.cache), ...process.moduleLoadList].join('\\n'))
})`

test('--help loads one file, and of Node nothing that only the work with hosts needs', async (t) => {
  const cwd = t.testdir({ 'loaded.cjs': loadedProgram })
  const loaded = await loadedBy(['--help'], cwd)
  const files = loaded.filter((file) => file.startsWith(realpathSync(directory)))
  t.strictSame(files, [join(realpathSync(directory), 'dist/lib/bundle/main.cjs')])
  for (const name of ['child_process', 'crypto', 'https']) t.notOk(loaded.includes(`NativeModule ${name}`), name)
})

/** Not when npm had no compiler, or ran with another Node. */
function canLoad(file: string): boolean {
  try {
    createRequire(import.meta.url)(file)
    return true
  } catch {
    return false
  }
}

test('a connection finds what npm compiled for ssh2', async (t) => {
  const cwd = t.testdir({ 'loaded.cjs': loadedProgram, 'hosts.yaml': inventory })
  const loaded = await loadedBy(['status', 'dave'], cwd)
  t.ok(loaded.some((file) => file.endsWith('/bundle/ssh2.cjs')))
  for (const file of [
    'ssh2/lib/protocol/crypto/build/Release/sshcrypto.node',
    'cpu-features/build/Release/cpufeatures.node',
  ]) {
    const compiledFile = join(realpathSync(join(directory, 'node_modules')), file)
    t.equal(loaded.includes(compiledFile), canLoad(compiledFile), file)
  }
})
