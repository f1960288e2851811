/** Two real stores of this computer, each with a machine whose programs know no other: as a builder and a host are. */
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { End } from '../../../lib/copy/streams.ts'
import { localMachine } from '../../../lib/edge/local-machine.ts'
import type { Machine } from '../../../lib/machine/machine.ts'
import { openServe, queryClosure } from '../../../lib/nix/serve-protocol.ts'
import type { NarSink, NarSource, PathInfo, Store } from '../../../lib/nix/store.ts'
import { parseStorePath, type StorePath } from '../../../lib/nix/store-path.ts'
import { streamsOf } from '../../../lib/nix/streams.ts'

const signal = new AbortController().signal
const programPath = (name: string) =>
  execFileSync('/bin/sh', ['-c', `command -v ${name}`])
    .toString()
    .trim()

export interface LocalStore {
  readonly directory: string
  readonly machine: Machine
  run(...words: string[]): string
  /** a directory or file of this computer, under the name that it has there */
  add(file: string): StorePath
  infos(paths: readonly StorePath[]): Promise<Map<StorePath, PathInfo>>
  /** for either direction, once */
  serve(): Promise<NarSource & NarSink>
  end(change?: (machine: Machine) => Machine): End
  /** a path's NAR */
  dump(path: StorePath): Buffer
  /** temporary ones that its programs have made so far */
  directories(): string[]
  /** what the running system of the machine consists of */
  runs(paths: readonly StorePath[]): void
  /** a program in the place of what would be found */
  replace(program: string, script: string): void
  /** what the machine finds at a path from now on */
  showInPlaceOf(path: StorePath, other: StorePath): void
}

export function localStore(directory: string): LocalStore {
  const bin = join(directory, 'bin')
  mkdirSync(bin, { recursive: true })
  const options = ['--store', directory, '--option', 'build-users-group', '', '--option', 'substituters', '']
  const real = { nix: programPath('nix-store'), find: programPath('find'), mktemp: programPath('mktemp') }
  const run = (...words: string[]) =>
    execFileSync(real.nix, [...words, ...options], { stdio: 'pipe' })
      .toString()
      .trim()
  const replace = (program: string, script: string) => {
    writeFileSync(join(bin, program), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, program), 0o755)
  }
  const quoted = options.map((word) => `'${word}'`).join(' ')
  const dumping = (before: string) =>
    `case $* in '--query --requisites /run/current-system') exec cat ${directory}/system ;; esac
if [ "$1" = --dump ]; then ${before} exec ${real.nix} --dump "${directory}$2"; fi\nexec ${real.nix} "$@" ${quoted}`
  replace('nix-store', dumping(''))
  replace(
    'find',
    `for word; do shift; case $word in /nix/store/*) word=${directory}$word ;; esac; set -- "$@" "$word"; done
     ${real.find} "$@" | sed 's,^${directory},,'`,
  )
  replace('mktemp', `${real.mktemp} "$@" | tee -a ${directory}/made`)
  const here = localMachine({ env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` } })
  const machine: Machine = {
    ...here,
    // An SSH server tells a command that nobody waits for it by the end of its standard input, and by nothing else.
    async open(command, _signal, options) {
      const channel = await here.open(command, undefined, options)
      const close = () => {
        channel.stdin.end()
        channel.stdout.destroy()
      }
      return { ...channel, close }
    },
  }
  async function infos(paths: readonly StorePath[]): Promise<Map<StorePath, PathInfo>> {
    const channel = await machine.open({ argv: ['nix-store', '--serve'] }, signal)
    const infos = await queryClosure(streamsOf(channel), paths)
    return new Map(infos.map((info) => [info.path, info]))
  }
  return {
    directory,
    machine,
    run,
    replace,
    directories: () =>
      existsSync(join(directory, 'made')) ? readFileSync(join(directory, 'made'), 'utf8').trim().split('\n') : [],
    runs: (paths) => writeFileSync(join(directory, 'system'), paths.join('\n')),
    dump: (path) => execFileSync(real.nix, ['--dump', `${directory}${path}`], { maxBuffer: 2 ** 30 }),
    showInPlaceOf: (path, other) => replace('nix-store', dumping(`[ "$2" != ${path} ] || set -- "$1" ${other};`)),
    add: (file) => parseStorePath(run('--add', file)),
    infos,
    serve: async () => openServe(streamsOf(await machine.open({ argv: ['nix-store', '--serve', '--write'] }, signal))),
    end: (change = (same) => same) => ({
      // what a daemon would be asked, answered by the programs
      store: {
        addTempRoots: async () => {},
        queryValidPaths: async (paths) => {
          const invalid = run('--check-validity', '--print-invalid', ...paths).split('\n')
          return new Set(paths.filter((path) => !invalid.includes(path)))
        },
        queryPathInfos: async (paths) => [...(await infos(paths)).values()],
      } satisfies Partial<Store> as unknown as Store,
      machine: async () => change(machine),
      serve: 'exec nix-store --serve --write',
      asRoot: false,
    }),
  }
}
