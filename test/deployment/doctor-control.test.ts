/** The control machine as the doctor sees it: this computer, with a home of its own and the real programs. */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isSupported, supportedNode } from '../../lib/deployment/doctor/checks/control/node.ts'
import { examineControl } from '../../lib/deployment/doctor/control.ts'
import { controlChecks } from '../../lib/deployment/doctor/index.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import type { InputSource } from '../../lib/inventory/inventory.ts'
import { until } from '../edge/sshd.ts'

const isRoot = process.getuid?.() === 0

class Control {
  readonly t: Test
  readonly home: string
  env: Record<string, string>

  constructor(t: Test) {
    this.t = t
    this.home = mkdtempSync(join(tmpdir(), 'doctor-'))
    t.teardown(() => rmSync(this.home, { recursive: true }))
    for (const directory of ['bin', 'flake', '.ssh']) mkdirSync(join(this.home, directory))
    // The configuration, which the program itself looks for in the home that passwd names.
    this.write('bin/ssh', '#!/bin/sh\nexec /usr/bin/ssh -F "$HOME/.ssh/config" "$@"\n')
    chmodSync(join(this.home, 'bin/ssh'), 0o755)
    this.write(
      '.ssh/config',
      `IdentityFile ~/.ssh/id\nUserKnownHostsFile ${this.home}/.ssh/known_hosts\nGlobalKnownHostsFile none\n`,
    )
    this.env = { HOME: this.home, PATH: `${this.home}/bin:/usr/bin:/bin`, TMPDIR: this.home }
  }

  write(name: string, text: string) {
    writeFileSync(join(this.home, name), text)
  }

  key(passphrase: string) {
    const file = join(this.home, '.ssh/id')
    for (const one of [file, `${file}.pub`]) rmSync(one, { force: true })
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-f', file])
  }

  /** What is not good, in words; with `all`, everything. */
  async told(given: { inputs?: Record<string, InputSource>; destinations?: string[]; all?: true } = {}) {
    const here = localMachine({ env: this.env })
    const subject = await examineControl(here, {
      inventory: { flake: join(this.home, 'flake'), inputs: new Map(Object.entries(given.inputs ?? {})) },
      destinations: given.destinations ?? ['me@dave.lab', 'ssh://me@erin.lab:2222'],
      nodeVersion: 'v24.1.0',
      signal: new AbortController().signal,
    })
    await here.close()
    return controlChecks.flatMap(({ about, look }) => {
      const found = look(subject)
      if (!found || (found.level === 'good' && !given.all)) return []
      return [[`${found.level} ${about}: ${found.text}`, ...found.hints].join('\n').replaceAll(this.home, '~')]
    })
  }
}

t.test('a control machine where all is well, which is left as it was', async (t) => {
  const control = new Control(t)
  control.key('')
  control.write('.ssh/known_hosts', '# a comment\ndave.lab ssh-ed25519 AAAA\nerin.lab ssh-ed25519 AAAA\n')
  execFileSync('git', ['init', '-q', control.home])
  const files = () => execFileSync('find', [control.home]).toString()
  const before = files()
  const told = await control.told({ all: true })
  t.match(told, [
    'good Node: Node 24.1.0',
    /^good programs: OpenSSH \d\S+, git \d\S+$/,
    'good ssh keys: ~/.ssh/id',
    'good known_hosts: 2 in ~/.ssh/known_hosts',
    'good files: temporary files can be made',
  ])
  t.equal(files(), before)
})

t.test('keys that nobody can use without being asked, and the agent that has one', async (t) => {
  const control = new Control(t)
  control.write('.ssh/known_hosts', 'dave.lab ssh-ed25519 AAAA\n')
  const none = 'careful ssh keys: there is no key that can be used without a passphrase'
  t.match(await control.told(), [`${none}\nmake one, and add`])
  control.key('secret words')
  t.match(await control.told(), [`${none}\n~/.ssh/id is encrypted`])
  t.strictSame(await control.told({ destinations: [] }), [], 'nobody is logged in to')

  control.env['SSH_AUTH_SOCK'] = join(control.home, 'agent')
  t.match(await control.told(), [/^careful ssh agent: no agent answers at ~\/agent\n/, none])
  const agent = spawn('ssh-agent', ['-D', '-a', join(control.home, 'agent')], { stdio: 'ignore' })
  t.teardown(() => agent.kill())
  await until(() => existsSync(join(control.home, 'agent')))
  t.match(await control.told(), [none], 'an agent without keys')
  control.key('')
  execFileSync('ssh-add', ['-q', join(control.home, '.ssh/id')], { env: control.env, stdio: 'ignore' })
  control.key('secret words')
  t.strictSame(await control.told(), [])
  t.ok((await control.told({ all: true })).includes('good ssh keys: 1 of an agent'))

  agent.kill()
  control.env['SSH_AUTH_SOCK'] = ''
  control.key('')
  chmodSync(join(control.home, '.ssh/id'), 0o644)
  t.match(await control.told(), [`${none}\n~/.ssh/id may be read by others, so ssh leaves it out: chmod 600`])
  control.write('.ssh/id', 'no key')
  chmodSync(join(control.home, '.ssh/id'), 0o600)
  t.match(await control.told(), [/\n~\/\.ssh\/id is not understood by ssh-keygen$/])
})

t.test('host keys, programs and places that are missing', async (t) => {
  const control = new Control(t)
  control.key('')
  t.match(await control.told(), [/^careful known_hosts: no host key is known\n/])
  control.write('.ssh/known_hosts', 'dave.lab ssh-ed25519 AAAA\n')
  control.env['TMPDIR'] = '/nowhere'
  t.match(await control.told(), [/^bad files: temporary files cannot be made/])
  control.env['TMPDIR'] = control.home

  // What the script itself is made of, and nothing else.
  for (const name of [
    'sh',
    'dirname',
    'mktemp',
    'rm',
    'sed',
    'sort',
    'grep',
    'cut',
    'tr',
    'wc',
    'printenv',
    'id',
    'cat',
  ])
    control.write(`bin/${name}`, `#!/bin/sh\nPATH=/usr/bin:/bin exec ${name} "$@"\n`)
  execFileSync('sh', ['-c', 'chmod +x bin/*'], { cwd: control.home })
  control.env['PATH'] = join(control.home, 'bin')
  t.match(await control.told({ destinations: [] }), ['bad programs: this machine has no ssh-keygen, ssh-add'])
  for (const name of ['ssh-keygen', 'ssh-add', 'tar'])
    execFileSync('ln', ['-s', `/usr/bin/${name}`, join(control.home, 'bin', name)])
  t.strictSame(await control.told(), [])
  const fetched = { inputs: { secrets: { fetch: 'here' } } as const }
  t.match(await control.told(fetched), ['bad programs: inputs are to be fetched here, and there is no git'])
  mkdirSync(join(control.home, '.git'))
  t.match(await control.told(), ['bad programs: the flake is in a git repository, and there is no git on this machine'])
  rmSync(join(control.home, 'bin/tar'))
  rmSync(join(control.home, '.git'), { recursive: true })
  t.match(await control.told(), ['bad programs: this machine has no tar, which sends directories'])
})

t.test('inputs that cannot be kept', { skip: isRoot && 'root may write anywhere' }, async (t) => {
  const control = new Control(t)
  control.key('')
  control.write('.ssh/known_hosts', 'dave.lab ssh-ed25519 AAAA\n')
  mkdirSync(join(control.home, '.cache'), { mode: 0o500 })
  t.match(await control.told({ inputs: { secrets: { fetch: 'here' } } }), [
    /^bad files: ~\/\.cache cannot be written to/,
  ])
  t.strictSame(await control.told(), [])
})

t.test('the versions of Node are those of package.json', async (t) => {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.equal(engines.node, supportedNode)
  for (const version of ['v20.19.0', 'v20.20.2', 'v22.12.0', 'v24.0.0']) t.ok(isSupported(version), version)
  for (const version of ['v18.20.0', 'v20.18.3', 'v21.7.0', 'v22.11.0']) t.notOk(isSupported(version), version)
})
