/**
 * A control machine and a builder on this computer: two homes, real git and shells, and on the builder a stand-in for
 * `nix` that writes down which files it is shown. What real Nix makes of them is test/scenarios/builder.test.ts.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import type { BuilderEvents, EvaluationOptions } from '../../lib/builders/builder.ts'
import { builderOf } from '../../lib/builders/compose.ts'
import { nixMachine } from '../../lib/builders/nix-machine.ts'
import { systemClock } from '../../lib/edge/clock.ts'
import { localMachine } from '../../lib/edge/local-machine.ts'
import type { InputSource } from '../../lib/inventory/inventory.ts'
import { commandLine } from '../../lib/machine/command.ts'
import type { Machine } from '../../lib/machine/machine.ts'

export const noOptions: EvaluationOptions = {
  impure: false,
  showTrace: false,
  refresh: false,
  options: [],
  overrideInputs: [],
}

const standIn = `#!/bin/sh
for word; do
  case $word in
    *#nixosConfigurations) reference=$word ;;
  esac
done
{ printf '%s\\n' "$@"; echo; } >> "$HOME/asked"
printf '%s' "$reference" > "$HOME/reference"
[ ! -e "$HOME/wait" ] || { echo $$ > "$HOME/pid"; exec sleep 1000; }
if [ -e "$HOME/answers" ]; then . "$HOME/answers"; else echo '{"names":["dave"],"found":{}}'; fi
`

export class Workplace {
  readonly t: Test
  readonly place: string
  /** The flake's repository, on the control machine. */
  readonly repository: string
  readonly home: string
  readonly warnings: string[] = []
  readonly progress: string[] = []
  /** What went to the builder's standard inputs since this was last set to 0. */
  sentBytes = 0
  /** Commands started on the builder. */
  commands = 0
  shell = '/bin/sh'

  constructor(t: Test) {
    this.t = t
    this.place = mkdtempSync(join(tmpdir(), 'builder-test-'))
    t.teardown(() => rmSync(this.place, { recursive: true, force: true }))
    this.repository = join(this.place, 'flake')
    this.home = join(this.place, 'home')
    mkdirSync(join(this.home, 'bin'), { recursive: true })
    writeFileSync(join(this.home, 'bin/nix'), standIn)
    chmodSync(join(this.home, 'bin/nix'), 0o755)
    mkdirSync(this.repository)
    this.git('init', '-q', '-b', 'main')
    this.write('flake.nix', '{ outputs = { self }: { }; }\n')
  }

  git(...args: string[]): string {
    const identity = ['-c', 'user.name=ops', '-c', 'user.email=ops@localhost', '-c', 'commit.gpgsign=false']
    return execFileSync('git', ['-C', this.repository, ...identity, ...args], { stdio: 'pipe' })
      .toString()
      .trim()
  }

  commit(): void {
    this.git('add', '-A')
    this.git('commit', '-q', '--allow-empty', '-m', 'change')
  }

  write(file: string, contents: string | Buffer): void {
    mkdirSync(dirname(join(this.repository, file)), { recursive: true })
    rmSync(join(this.repository, file), { force: true, recursive: true })
    writeFileSync(join(this.repository, file), contents)
  }

  get events(): BuilderEvents {
    return {
      progress: (text) => void this.progress.push(text),
      warning: (text) => void this.warnings.push(text),
      note: (text) => void this.progress.push(text),
      log: () => undefined,
    }
  }

  builder(options: { flake?: string; inputs?: Record<string, InputSource>; env?: Record<string, string> } = {}) {
    const here = localMachine({ env: { ...process.env, ...options.env } })
    const inputs = new Map(Object.entries(options.inputs ?? {}))
    const machine = nixMachine({
      name: 'forge',
      here,
      flake: options.flake ?? this.repository,
      inputs,
      connect: async () => this.#forge(),
    })
    this.t.teardown(() => Promise.all([machine.close(), here.close()]))
    return builderOf('forge', { evaluator: machine, store: machine, clock: systemClock })
  }

  async evaluate(options: Parameters<Workplace['builder']>[0] = {}, evaluation = noOptions) {
    rmSync(join(this.home, 'asked'), { force: true })
    const builder = this.builder(options)
    return await builder.evaluate(['dave'], evaluation, this.events, new AbortController().signal)
  }

  /** The reference that `nix` was given. */
  get reference(): string {
    return readFileSync(join(this.home, 'reference'), 'utf8').replace(/#nixosConfigurations$/, '')
  }

  /** The work tree on the builder that `nix` was shown. */
  get shown(): string {
    return this.reference.replace(/^git\+file:\/\//, '').replace(/\?.*$/, '')
  }

  asked(): string[][] {
    const text = readFileSync(join(this.home, 'asked'), 'utf8')
    return text.split('\n\n').map((words) => words.split('\n'))
  }

  /** The builder as a machine: any shell as login shell, and an environment of its own. */
  #forge(): Machine {
    const env = { HOME: this.home, PATH: `${this.home}/bin:${process.env['PATH']}`, LANG: 'C.UTF-8' }
    const machine = localMachine({ name: 'forge', env })
    const start: Machine['open'] = async (command, signal) => {
      // the daemon that a build would speak to is opened beside the evaluation
      if (!command.argv.join(' ').includes('nix-daemon')) this.commands += 1
      const channel = await machine.open({ argv: [this.shell, '-c', commandLine(command, 'none')] }, signal)
      const write = channel.stdin.write.bind(channel.stdin)
      channel.stdin.write = ((chunk: string | Buffer, ...rest: []) => {
        this.sentBytes += chunk.length
        return write(chunk, ...rest)
      }) as typeof write
      return channel
    }
    return { ...machine, open: start }
  }
}

/**
 * Everything of a repository that Nix looks at: HEAD and history, whether something was changed, and the files: those
 * of the commit when nothing was changed, those in the work tree that the index names otherwise.
 */
export function asNixSees(repository: string): Record<string, unknown> {
  const git = (...args: string[]) => {
    try {
      return execFileSync('git', ['-C', repository, ...args], { stdio: 'pipe' }).toString()
    } catch {
      return 'none'
    }
  }
  const dirty = git('status', '--porcelain', '--untracked-files=no') !== ''
  const names = git('ls-files', '-z')
    .split('\0')
    .filter((name) => name !== '')
  const files = [...new Set(names)].map((name) => [name, describeFile(join(repository, name))] as const)
  return {
    head: git('rev-parse', 'HEAD'),
    commits: git('rev-list', '--count', 'HEAD'),
    time: git('log', '-1', '--format=%ct'),
    dirty,
    files: dirty ? Object.fromEntries(files.filter(([, one]) => one !== undefined)) : git('ls-tree', '-r', 'HEAD'),
  }
}

function describeFile(path: string): string | undefined {
  const stat = existsLink(path)
  if (!stat || stat.isDirectory()) return undefined
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(path)}`
  const hash = createHash('sha256').update(readFileSync(path)).digest('hex')
  return `${stat.mode & 0o100 ? 'program' : 'file'} ${hash}`
}

const existsLink = (path: string) => lstatSync(path, { throwIfNoEntry: false })

/**
 * Every file below a directory with its contents and time of change, to show that nothing was written. Without the times
 * in .git, since git sets those of objects that it finds again, so that they are not taken for garbage.
 */
export function untouched(directory: string): string {
  const files = `find . -path ./.git -prune -o -printf '%p %T@ %s %m\\n' | sort; find .git | sort`
  const script = `${files}; find . -type f -exec sha256sum {} + | sort`
  return execFileSync('sh', ['-c', script], { cwd: directory }).toString()
}

/** Waits for something that another process does. */
export async function until(fact: () => boolean): Promise<void> {
  const end = performance.now() + 60_000
  while (!fact()) {
    if (performance.now() > end) throw new Error(`not within a minute: ${fact}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
