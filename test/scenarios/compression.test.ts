/** Copies whose NARs are compressed on the way: by zstd and gzip, to hosts of three ages, whole, damaged and cut. */
import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { Codec } from '../../lib/copy/compression.ts'
import type { CopyRequest } from '../../lib/copy/copy.ts'
import { prepareLanes } from '../../lib/copy/lanes.ts'
import { measureLines } from '../../lib/copy/lines.ts'
import { relay } from '../../lib/copy/relay.ts'
import { systemClock } from '../../lib/edge/clock.ts'
import { codecs } from '../../lib/edge/codecs.ts'
import { machineOver } from '../../lib/edge/machine.ts'
import { startProcess } from '../../lib/edge/process.ts'
import { quote } from '../../lib/machine/command.ts'
import type { Machine } from '../../lib/machine/machine.ts'
import type { NarSource } from '../../lib/nix/store.ts'
import { parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import type { TransferProgress } from '../../lib/nix/transfer.ts'
import { Problem } from '../../lib/problem.ts'
import * as lab from '../lab/lab.mjs'
import { daemonOf } from './counted-store.ts'
import { seen } from './eventually.ts'
import { flipped } from './flipped-nar.ts'
import { setStage } from './stage.ts'

const skip = lab.whyNoLab() ?? false
const megabyte = 2 ** 20

t.before(async () => {
  if (!skip) await lab.up(['forge', 'dave', 'frank', 'grace'])
})

/** A top that names small paths, big ones of text, and some of noise, 20 MB each, that hardly get smaller. */
const expression = `
{ tag, small, big, lines, noisy }:
let
  run = name: script: more: derivation ({
    inherit name tag lines;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/bin:/usr/bin";
    args = [ "-euc" script ];
  } // more);
  smallOne = n: run "small-\${toString n}" "mkdir $out; echo $tag > $out/\${toString n}" { };
  bigOne = n: run "big-\${toString n}" "seq -f \\"$tag \${toString n} %.0f\\" 1 $lines > $out" { };
  noisyOne = n: run "noisy-\${toString n}" "head -c 15000000 /dev/urandom | base64 > $out" { };
in run "top" "echo $smalls $bigs $noises > $out" {
  smalls = builtins.genList smallOne small;
  bigs = builtins.genList bigOne big;
  noises = builtins.genList noisyOne noisy;
}
`

async function builtOnForge(size: Partial<Record<'small' | 'big' | 'lines' | 'noisy', number>>): Promise<StorePath> {
  const numbers = Object.entries({ small: 0, big: 0, lines: 0, noisy: 0, ...size }).map(
    ([name, value]) => `--arg ${name} ${value}`,
  )
  const command = `nix-build --no-out-link --argstr tag ${randomUUID()} ${numbers.join(' ')} -`
  const { code, stdout, stderr } = await lab.ssh('forge', command, { input: expression })
  if (code !== 0) throw new Error(stderr)
  return parseStorePath(stdout.trim())
}

/** A machine of the lab, each command in a login of its own. */
function machineOf(name: string): Machine {
  const start = async (argv: readonly string[], signal?: AbortSignal) => {
    const command = [...lab.sshCommand(name), '--', argv.map(quote).join(' ')]
    const channel = await startProcess(command, signal ? { signal } : {})
    return { channel, freed: channel.exit }
  }
  const password = { ask: () => Promise.reject(new Error('no password')), forget() {} }
  const facts = { name, destination: name, address: lab.address(name), user: lab.machines[name]?.user ?? '' }
  const elevation = name === 'forge' ? 'none' : 'passwordless'
  const transport = { start, closed: new Promise<void>(() => {}), close: async () => {} }
  return machineOver(transport, { ...facts, elevation, password })
}

interface More extends Partial<CopyRequest> {
  readonly codec?: 'zstd' | 'gzip'
  through?(source: NarSource): NarSource
}

async function copied(host: string, root: StorePath, { codec = 'zstd', through, ...more }: More = {}) {
  const [from, to] = await Promise.all([daemonOf('forge'), daemonOf(host)])
  const signal = more.signal ?? new AbortController().signal
  const [builder, target] = [machineOf('forge'), machineOf(host)]
  const durably = '--option fsync-store-paths true'
  const ends = {
    from: { store: from.store, machine: async () => builder, serve: 'exec nix-store --serve', asRoot: false },
    to: {
      store: to.store,
      machine: async () => target,
      serve: `exec nix-store --serve --write ${durably}`,
      asRoot: true,
    },
  }
  const named = async () => (await codecs()).filter((one: Codec) => one.name === codec)
  const lines = () => measureLines({ ...ends, codecs: named, clock: systemClock, signal })
  const open = prepareLanes({ ...ends, setting: 'always', lines, signal })
  let compressed = ''
  try {
    const result = await relay({
      roots: [root],
      from: from.store,
      to: to.store,
      async openLanes(bytes) {
        const lanes = await open(bytes)
        compressed = lanes.compressed
        return through ? { ...lanes, from: through(lanes.from) } : lanes
      },
      substitute: false,
      freeBytes: undefined,
      freeBytesNow: async () => undefined,
      onMove() {},
      onProgress() {},
      signal,
      ...more,
    })
    return { ...result, compressed }
  } finally {
    from.store.close()
    to.store.close()
    await Promise.all([from.gone, to.gone])
  }
}

const problemOf = (work: Promise<unknown>): Promise<Problem> =>
  work.then(
    () => Promise.reject(new Error('it went well')),
    (error) => (error instanceof Problem ? error : Promise.reject(error)),
  )

const closureOnForge = async (root: StorePath) =>
  (await lab.ssh('forge', `nix-store -qR ${root}`)).stdout.trim().split('\n')

async function validOn(host: string, paths: readonly string[]): Promise<string[]> {
  const input = paths.join('\n')
  const { stdout } = await lab.inside(host, 'xargs nix-store --check-validity --print-invalid', { input })
  const invalid = new Set(stdout.trim().split('\n'))
  return paths.filter((path) => !invalid.has(path))
}

const intactOn = (host: string, paths: readonly string[]) =>
  lab.inside(host, 'xargs nix-store --verify-path', { input: paths.join('\n') })

for (const [host, codec] of [
  ['dave', 'zstd'],
  ['dave', 'gzip'],
  ['frank', 'zstd'],
  ['grace', 'gzip'],
] as const)
  t.test(`a closure arrives whole on ${host}, compressed by ${codec}`, { skip }, async (t) => {
    const root = await builtOnForge({ small: 40, big: 1, lines: 1_000_000 })
    const paths = await closureOnForge(root)
    const before = await lab.linkBytes(host)
    const result = await copied(host, root, { codec })
    const sent = (await lab.linkBytes(host)).toMachine - before.toMachine
    t.match(result, { closurePaths: 42, sentPaths: 42, compressed: codec })
    t.same(await validOn(host, paths), paths)
    t.equal((await intactOn(host, paths)).code, 0)
    t.ok(result.sentBytes > 40e6)
    t.ok(sent < result.sentBytes / 4, `${sent} bytes went to ${host} for ${result.sentBytes}`)
    t.match(await copied(host, root, { codec }), { sentPaths: 0, compressed: '' }, 'and the second time nothing is')
  })

/** One bit of the contents of each big path. */
const damaged = (source: NarSource): NarSource => ({
  ...source,
  async *narsFrom(infos) {
    for await (const nar of source.narsFrom(infos)) yield nar.info.path.includes('-big-') ? flipped(nar) : nar
  },
})

t.test('a NAR that was damaged on the way is refused, and is not on the host', { skip }, async (t) => {
  const root = await builtOnForge({ small: 3, big: 1, lines: 100_000 })
  const problem = await problemOf(copied('dave', root, { through: damaged }))
  t.match(problem.message, /^the host's store: \/nix\/store\/.*-big-0 was refused: hash mismatch/)
  const paths = await closureOnForge(root)
  t.same(await validOn('dave', [...paths.filter((path) => path.includes('-big-')), root]), [])
  t.equal((await lab.inside('dave', ['nix-store', '--verify'])).code, 0)
  await copied('dave', root)
  t.same(await validOn('dave', paths), paths)
})

/** Does something once, when that much of the copy has gone. */
const after = (bytes: number, act: () => void) => {
  let done = false
  return ({ bytesDone }: TransferProgress) => {
    if (done || bytesDone < bytes) return
    done = true
    act()
  }
}

/** Until no process of a copy runs any more. */
async function nothingLeft(): Promise<void> {
  const isOfCopy = ({ argv }: { argv: string[] }) => /nix-store --serve|^zstd/.test(argv.join(' '))
  await seen('no process of the copy is left', () => !['forge', 'dave'].flatMap(lab.hostProcesses).some(isOfCopy))
}

const killOn = (machine: string, program: string) => () => {
  for (const { pid, argv } of lab.hostProcesses(machine))
    if (argv.join(' ').startsWith(program)) process.kill(pid, 'SIGKILL')
}

for (const [machine, program, end] of [
  ['forge', 'nix-store --serve', 'builder'],
  ['forge', 'zstd', 'builder'],
  ['dave', 'nix-store --serve', 'host'],
  ['dave', 'zstd', 'host'],
] as const)
  t.test(`when ${program} dies on ${machine}, the copy ends and goes on where it was`, { skip }, async (t) => {
    const root = await builtOnForge({ small: 20, noisy: 8 })
    const paths = await closureOnForge(root)
    const onProgress = after(60 * megabyte, killOn(machine, program))
    const problem = await problemOf(copied('dave', root, { onProgress }))
    t.match(problem.message, `the ${end}'s store:`)
    // The host still takes what it had already got.
    await nothingLeft()
    const there = await validOn('dave', paths)
    t.notOk(there.includes(root))
    if (there.length > 0) t.equal((await intactOn('dave', there)).code, 0)
    const again = await copied('dave', root)
    t.equal(again.sentPaths, paths.length - there.length)
    t.equal((await intactOn('dave', paths)).code, 0)
  })

t.test('an interrupted copy leaves no process behind', { skip }, async (t) => {
  const root = await builtOnForge({ small: 20, noisy: 8 })
  const stop = new AbortController()
  const onProgress = after(60 * megabyte, () => stop.abort())
  const problem = await problemOf(copied('dave', root, { signal: stop.signal, onProgress }))
  t.equal(problem.kind, 'interrupted')
  await nothingLeft()
})

t.test(
  'what a power cut of the host leaves of a copy is whole, and the next run sends the rest',
  { skip },
  async (t) => {
    const root = await builtOnForge({ small: 60, noisy: 4 })
    const paths = await closureOnForge(root)
    let cut: Promise<void> | undefined
    let arrived = 0
    const stop = new AbortController()
    // What is known of paths is written back now and then, and is then to be true of them.
    const synced = async () => {
      await lab.inside('dave', ['sync'])
      await lab.powerCut('dave')
    }
    // nobody here listens whether the host is still alive, as a deployment does
    const onProgress = ({ pathsDone }: TransferProgress) => {
      arrived = pathsDone
    }
    // the last one is not sent before the power is gone
    const through = (source: NarSource): NarSource => ({
      ...source,
      async *narsFrom(infos) {
        for await (const nar of source.narsFrom(infos)) {
          if (nar.info === infos.at(-1)) {
            await seen('some have arrived', () => arrived > 0)
            cut ??= synced().finally(() => stop.abort())
            await cut
          }
          yield nar
        }
      },
    })
    await problemOf(copied('dave', root, { onProgress, through, signal: stop.signal }))
    await cut
    await lab.powerOn('dave')
    const there = await validOn('dave', paths)
    t.ok(there.length > 0 && there.length < paths.length, `${there.length} of ${paths.length} paths are there`)
    t.equal((await intactOn('dave', there)).code, 0)
    t.equal((await copied('dave', root)).sentPaths, paths.length - there.length)
    t.equal((await intactOn('dave', paths)).code, 0)
  },
)

t.test('a large path costs the host no more memory for being compressed', { skip }, async (t) => {
  const root = await builtOnForge({ small: 1, big: 1, lines: 6_000_000 })
  const watch = lab.watchMemory('dave')
  const { sentBytes } = await copied('dave', root)
  const { idle, peak } = watch.stop()
  t.ok(sentBytes > 250e6)
  t.comment(`${Math.round((peak - idle) / megabyte)} MiB more`)
  t.ok(peak - idle < 40 * megabyte)
})

t.test('a deployment tells that it compressed, and nothing else is different', { skip }, async (t) => {
  const stage = await setStage({ fresh: false, defaults: { copy: { compress: 'always' } } })
  await stage.configure('dave', { motd: 'compressed', bigPath: 100 })
  const before = await lab.linkBytes('dave')
  const { code, outcome, stderr } = await stage.deployHost('dave')
  const sent = (await lab.linkBytes('dave')).toMachine - before.toMachine
  t.match({ code, outcome }, { code: 0, outcome: { kind: 'deployed' } })
  t.equal((await stage.facts('dave')).running, outcome.toplevel)
  t.same((await stage.facts('dave')).leftBehind, [])
  t.match(stderr, /paths, .*, sent as zstd$/m)
  t.ok(outcome.sentBytes > 100e6)
  t.ok(sent < 10e6, `${sent} bytes went to dave`)
  t.match(await stage.deployHost('dave'), { code: 0, outcome: { kind: 'unchanged' } })
})
