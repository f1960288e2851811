/** Stores and copies between the lab's machines: Nix 2.26 on forge and dave, the newest on frank, 2.8 on grace. */
import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { CopyRequest } from '../../lib/copy/copy.ts'
import { relay } from '../../lib/copy/relay.ts'
import type { NixEvent, Store } from '../../lib/nix/store.ts'
import { parseDerivationPath, parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import type { TransferProgress, TransferResult } from '../../lib/nix/transfer.ts'
import { Problem } from '../../lib/problem.ts'
import { hostProcesses, inside, insideCommand, ssh, sshCommand, up, watchMemory, whyNoLab } from '../lab/lab.mjs'
import { type CountedStore, daemonOf, storeOf } from './counted-store.ts'
import { seen } from './eventually.ts'
import { flipped } from './flipped-nar.ts'

const skip = whyNoLab() ?? false
const hosts = { dave: /^2\.26\./, frank: /^2\.[3-9]\d\./, grace: /^2\.8\./ }

t.before(async () => {
  if (!skip) await up(['forge', 'control', ...Object.keys(hosts)])
})

const closing: CountedStore[] = []
t.afterEach(async () => {
  for (const { store, gone } of closing.splice(0)) {
    store.close()
    await gone
  }
})

const kept = async (opening: Promise<CountedStore>) => {
  const opened = await opening
  closing.push(opened)
  return opened
}

/** Small paths of every kind that a NAR knows, some of which refer to others, and big ones of random bytes. */
const closureExpression = `
{ tag, small, big, megabytes }:
let
  run = name: script: more: derivation ({
    inherit name tag;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/bin:/usr/bin";
    args = [ "-euc" script ];
  } // more);
  smallOne = n: run "small-\${toString n}" ''
    mkdir $out $out/empty
    echo "$tag $before" > $out/file
    echo '#!/bin/sh' > $out/program
    chmod +x $out/program
    ln -s file $out/link
  '' { before = if n > 0 && builtins.bitAnd n 7 != 0 then smallOne (n - 1) else ""; };
  bigOne = n: run "big-\${toString n}" "dd if=/dev/urandom of=$out bs=1M count=\${toString megabytes} status=none" { inherit n; };
in run "top" "echo $smalls $bigs > $out" { smalls = builtins.genList smallOne small; bigs = builtins.genList bigOne big; }
`

async function builtOnForge(size: { small: number; big: number; megabytes: number }): Promise<StorePath> {
  const numbers = Object.entries(size).map(([name, value]) => `--arg ${name} ${value}`)
  const command = `nix-build --no-out-link --argstr tag ${randomUUID()} ${numbers.join(' ')} -`
  const { code, stdout, stderr } = await ssh('forge', command, { input: closureExpression })
  if (code !== 0) throw new Error(stderr)
  return parseStorePath(stdout.trim())
}

const copyOf = (roots: readonly StorePath[], ends: { from: Store; to: Store }, more: Partial<CopyRequest> = {}) =>
  relay({
    roots,
    ...ends,
    openLanes: async () => ({ ...ends, compressed: '' }),
    substitute: true,
    freeBytes: undefined,
    freeBytesNow: async () => undefined,
    onMove() {},
    onProgress() {},
    signal: new AbortController().signal,
    ...more,
  })

async function copiedTo(host: string, root: StorePath, more: Partial<CopyRequest> = {}) {
  const [from, to] = await Promise.all([kept(daemonOf('forge')), kept(daemonOf(host))])
  const result: TransferResult = await copyOf([root], { from: from.store, to: to.store }, more)
  return { result, from, to }
}

/** The Problem that it ends with; a test fails when it doesn't. */
const problemOf = (work: Promise<unknown>): Promise<Problem> =>
  work.then(
    () => Promise.reject(new Error('it went well')),
    (error) => (error instanceof Problem ? error : Promise.reject(error)),
  )

const closureOnForge = async (root: StorePath) =>
  (await ssh('forge', `nix-store -qR ${root}`)).stdout.trim().split('\n')

async function validOn(host: string, paths: readonly string[]): Promise<string[]> {
  // 2.8 knows no --stdin
  const { stdout } = await inside(host, 'xargs nix-store --check-validity --print-invalid', { input: paths.join('\n') })
  const invalid = new Set(stdout.trim().split('\n'))
  return paths.filter((path) => !invalid.has(path))
}

/** As Nix itself sees it: every file hashed again. */
const intactOn = (host: string, paths: readonly string[]) =>
  inside(host, 'xargs nix-store --verify-path', { input: paths.join('\n') })

for (const [host, version] of Object.entries(hosts))
  t.test(
    `200 small paths and a big one arrive unsigned on ${host}, and the second copy sends nothing`,
    { skip },
    async (t) => {
      const root = await builtOnForge({ small: 200, big: 1, megabytes: 100 })
      const paths = await closureOnForge(root)
      const first = await copiedTo(host, root)
      t.match(first.to.store.version, version)
      t.same([first.result.closurePaths, first.result.sentPaths], [202, 202])
      t.ok(first.result.sentBytes > 100 * 2 ** 20)
      t.ok(
        first.to.traffic.toDaemon < first.result.sentBytes + 202 * 1000,
        'next to nothing but the NARs goes to the host',
      )
      t.equal((await intactOn(host, paths)).code, 0)

      const second = await copiedTo(host, root)
      t.same(second.result, { closurePaths: 202, sentPaths: 0, sentBytes: 0 })
      // Two for the greeting, the roots, the question what is valid.
      t.equal(second.to.traffic.turns, 4)
      // Two for the greeting, the root, and the levels of the graph: the top and what it names.
      t.equal(second.from.traffic.turns, 5)
      t.ok(second.to.traffic.toDaemon < 202 * 250)
    },
  )

t.test('a NAR that was damaged on the way is refused, and is not on the host', { skip }, async (t) => {
  const root = await builtOnForge({ small: 3, big: 1, megabytes: 2 })
  const [from, to] = await Promise.all([kept(daemonOf('forge')), kept(daemonOf('dave'))])
  const damaged: Store = {
    ...from.store,
    async *narsFrom(infos) {
      for await (const nar of from.store.narsFrom(infos)) yield nar.info.path.includes('-big-') ? flipped(nar) : nar
    },
  }
  const problem = await problemOf(copyOf([root], { from: damaged, to: to.store }))
  t.match(problem.message, /^the host's store: \/nix\/store\/.*-big-0 was refused: hash mismatch/)
  const paths = await closureOnForge(root)
  const big = paths.filter((path) => path.includes('-big-'))
  t.same(await validOn('dave', [...big, root]), [])
  t.equal((await inside('dave', ['nix-store', '--verify'])).code, 0)

  const { result } = await copiedTo('dave', root)
  t.ok(result.sentPaths <= 5)
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

const half = 50 * 2 ** 20

t.test('when a daemon dies in the middle, the copy ends at once and goes on where it was', { skip }, async (t) => {
  for (const [machine, end] of [
    ['forge', 'builder'],
    ['dave', 'host'],
  ] as const) {
    const root = await builtOnForge({ small: 20, big: 1, megabytes: 100 })
    const paths = await closureOnForge(root)
    // At once: the copy goes on meanwhile.
    const kill = () => {
      for (const { pid, argv } of hostProcesses(machine))
        if (argv.join(' ').includes('nix-daemon --stdio')) process.kill(pid, 'SIGKILL')
    }
    const problem = await problemOf(copiedTo('dave', root, { onProgress: after(half, kill) }))
    t.match(problem.message, `the ${end}'s store:`)
    const next = paths.find((path) => problem.hints.at(-1)?.includes(path))
    t.ok(next, 'it says where it stopped')
    const there = await validOn('dave', paths)
    t.notOk(there.includes(next ?? ''))
    t.notOk(there.includes(root))

    const { result } = await copiedTo('dave', root)
    t.equal(result.sentPaths, paths.length - there.length)
    t.equal((await intactOn('dave', paths)).code, 0)
  }
})

t.test('an interrupted copy stops, and its finished paths stay', { skip }, async (t) => {
  const root = await builtOnForge({ small: 20, big: 1, megabytes: 100 })
  const stop = new AbortController()
  const onProgress = after(half, () => stop.abort())
  const problem = await problemOf(copiedTo('dave', root, { signal: stop.signal, onProgress }))
  t.equal(problem.kind, 'interrupted')
  for (const { gone } of closing) await gone
  const { result } = await copiedTo('dave', root)
  t.equal(result.closurePaths, 22)
})

t.test('a garbage collection on the host in the middle of a copy takes nothing of it', { skip }, async (t) => {
  const root = await builtOnForge({ small: 20, big: 2, megabytes: 50 })
  const paths = await closureOnForge(root)
  const early = paths.filter((path) => path.includes('-small-'))
  // Some are there already, and nothing but the copy keeps them.
  const [from, to] = await Promise.all([kept(daemonOf('forge')), kept(daemonOf('dave'))])
  const someRoots = early.slice(0, 3).map(parseStorePath)
  await copyOf(someRoots, { from: from.store, to: to.store })
  to.store.close()
  await to.gone

  let collection: ReturnType<typeof inside> | undefined
  const onProgress = after(half, () => {
    collection = inside('dave', ['nix-store', '--gc'])
  })
  const { to: open } = await copiedTo('dave', root, { onProgress })
  t.equal((await collection)?.code, 0)
  t.same(await validOn('dave', paths), paths)
  t.equal((await inside('dave', ['nix-store', '--gc'])).code, 0)
  t.same(await validOn('dave', paths), paths, 'as long as the connection is open')
  open.store.close()
  await open.gone
  t.equal((await inside('dave', ['nix-store', '--gc'])).code, 0)
  t.same(await validOn('dave', paths), [], 'and no longer')
})

/** What a deployment does on the control machine, over its own SSH, which says how much memory it took at most. */
const relayOnControl = `
const [{ sshNetwork }, { openStore }, { relay }] = await Promise.all(
  ['edge/ssh', 'nix/worker-protocol', 'copy/relay'].map((name) => import('/opt/deploy/dist/lib/' + name + '.js')))
const network = sshNetwork()
const machines = []
const open = async (name, elevation) => {
  const machine = await network.connect({ name, destination: name, elevation })
  machines.push(machine)
  const channel = await machine.open({ argv: ['nix-daemon', '--stdio'], asRoot: true })
  return openStore({
    input: channel.stdin, output: channel.stdout, errorOutput: () => channel.errorOutput(), closed: channel.exit,
    close: () => channel.close(),
  })
}
const [from, to] = [await open('forge', 'none'), await open('dave', 'passwordless')]
const before = process.resourceUsage().maxRSS * 1024
const result = await relay({
  roots: [process.argv[2]], from, to, openLanes: async () => ({ from, to, compressed: '' }), substitute: true, freeBytes: undefined, async freeBytesNow() {},
  onMove() {}, onProgress() {}, signal: new AbortController().signal,
})
console.log(JSON.stringify({ result, before, peak: process.resourceUsage().maxRSS * 1024 }))
for (const part of [from, to, ...machines]) part.close()
`

t.test(
  'a path of 400 MB goes through in a small part of that memory, on control and on the host',
  { skip },
  async (t) => {
    const root = await builtOnForge({ small: 1, big: 1, megabytes: 400 })
    const onDave = watchMemory('dave')
    const copied = await ssh('control', `node --input-type=module - ${root}`, { input: relayOnControl })
    const dave = onDave.stop()
    t.equal(copied.code, 0, copied.stderr)
    const { result, before, peak } = JSON.parse(copied.stdout)
    t.ok(result.sentBytes > 400 * 2 ** 20)
    const growth = (from: number, to: number) => `${Math.round(from / 2 ** 20)} to ${Math.round(to / 2 ** 20)} MiB`
    t.comment(`control ${growth(before, peak)}, dave ${growth(dave.idle, dave.peak)}`)
    t.ok(peak - before < 100 * 2 ** 20)
    t.ok(dave.peak - dave.idle < 100 * 2 ** 20)
  },
)

t.test('builds are watched line by line, and one that fails stops no other', { skip }, async (t) => {
  const { store } = await kept(daemonOf('forge'))
  const one = (name: string, script: string, more = '') => `derivation {
    name = "${name}"; tag = "${randomUUID()}"; system = builtins.currentSystem;
    builder = "/bin/sh"; PATH = "/bin:/usr/bin"; args = [ "-euc" "${script}" ]; ${more} }`
  const good = one(
    'good',
    'echo working; echo > $out; echo > $doc',
    'outputs = [ \\"out\\" \\"doc\\" ];'.replaceAll('\\', ''),
  )
  const expression = `[ (${good}) (${one('bad', 'echo trying; sleep 1; exit 3')}) (${one('slow', 'sleep 3; echo > $out')}) ]`
  const made = await ssh('forge', 'nix-instantiate -', { input: expression })
  const derivations = made.stdout.trim().split('\n').map(parseDerivationPath)
  const named = (name: string) => derivations.find((derivation) => derivation.endsWith(`-${name}.drv`))

  const missing = await store.queryMissing(derivations)
  t.same(
    missing.map(({ willBuild }) => willBuild),
    derivations.map((one) => [one]),
    'each by itself',
  )
  const events: NixEvent[] = []
  const results = await store.build(derivations, (event) => events.push(event))
  t.same(
    results.map(({ derivation, ok }) => [derivation, ok]),
    derivations.map((derivation) => [derivation, derivation !== named('bad')]),
  )
  const [failed] = results.filter(({ ok }) => !ok)
  t.match(failed?.message, 'exit code 3')
  t.match(failed?.message, 'trying')
  const done = results.find(({ derivation }) => derivation === named('good'))
  t.same(Object.keys(done?.outputs ?? {}).sort(), ['doc', 'out'])
  t.match(done?.outputs['doc'], /-good-doc$/)
  // 101: a line of a build's log; 105: a build, whose first field is the derivation (nix: logging.hh).
  const lines = events.flatMap((event) => (event.kind === 'result' && event.type === 101 ? event.fields : []))
  t.ok(lines.includes('working'))
  const begun = events.flatMap((event) => (event.kind === 'start' && event.type === 105 ? (event.fields[0] ?? []) : []))
  t.ok(begun.includes(named('good') ?? ''))

  const again = await store.build(derivations, () => {})
  t.same(
    again.filter(({ ok }) => ok).map(({ outputs }) => outputs),
    results.filter(({ ok }) => ok).map(({ outputs }) => outputs),
    'what is there already has the same outputs',
  )
})

t.test('any of three versions of Nix evaluates, any of them builds, and any of them receives', { skip }, async (t) => {
  const names = Object.keys(hosts)
  const expression = (tag: string) => `let run = name: more: derivation ({
      inherit name; tag = "${tag}"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/bin:/usr/bin";
      args = [ (builtins.toFile "script" "# ${tag}\\ncat $before > $out; echo $tag >> $out") ]; } // more);
    in run "top" { before = run "before" { before = builtins.toFile "source" "${tag}"; }; }`
  const send = async (root: StorePath, from: string, to: string) => {
    const [source, target] = await Promise.all([kept(daemonOf(from)), kept(daemonOf(to))])
    return await copyOf([root], { from: source.store, to: target.store })
  }
  for (const evaluator of names) {
    for (const builder of names) {
      const made = await ssh(evaluator, 'nix-instantiate -', { input: expression(randomUUID()) })
      const derivation = parseDerivationPath(made.stdout.trim())
      if (builder !== evaluator) t.match(await send(derivation, evaluator, builder), { sentPaths: 4 })
      const { store } = await kept(daemonOf(builder))
      const [built] = await store.build([derivation], () => {})
      t.match(built, { ok: true, outputs: { out: /-top$/ } }, `${evaluator} evaluates, ${builder} builds`)
      const output = parseStorePath(built?.outputs['out'] ?? '')
      for (const host of names.filter((name) => name !== builder)) {
        t.match(await send(output, builder, host), { sentPaths: 1 }, `${builder} sends to ${host}`)
        t.same(await validOn(host, [output]), [output])
        t.equal((await intactOn(host, [output])).code, 0)
      }
    }
  }
})

t.test('a build that nobody waits for any more is stopped', { skip }, async (t) => {
  const { store, gone } = await daemonOf('forge')
  const expression = `derivation { name = "endless"; tag = "${randomUUID()}"; system = builtins.currentSystem;
    builder = "/bin/sh"; PATH = "/bin:/usr/bin"; args = [ "-euc" "exec sleep 98765" ]; }`
  const made = await ssh('forge', 'nix-instantiate -', { input: expression })
  const sleepers = () => hostProcesses('forge').filter(({ argv }) => argv.join(' ') === 'sleep 98765').length
  const ended = problemOf(store.build([parseDerivationPath(made.stdout.trim())], () => {}))
  await seen('the build runs', () => sleepers() > 0)
  store.close()
  t.match((await ended).message, 'closed')
  await gone
  await seen('the build is gone', () => sleepers() === 0)
})

t.test('the path of a content-addressed output is told by its build', { skip }, async (t) => {
  const features = ['--option', 'experimental-features', 'nix-command ca-derivations']
  for (const machine of ['forge', 'frank', 'grace']) {
    const expression = `derivation { name = "ca"; tag = "${randomUUID()}"; system = builtins.currentSystem; builder = "/bin/sh";
      args = [ "-c" "echo the same > $out" ]; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; }`
    const made = await inside(machine, ['nix-instantiate', ...features, '-'], { input: expression })
    const derivation = parseDerivationPath(made.stdout.trim())
    const { store } = await kept(storeOf(insideCommand(machine, ['nix-daemon', '--stdio', ...features])))
    const [result] = await store.build([derivation], () => {})
    t.match(result, { derivation, ok: true, outputs: { out: /^\/nix\/store\/.*-ca$/ } }, machine)
    t.equal((await store.queryPathInfos([result?.outputs['out'] as StorePath]))[0]?.narSize, 128)
  }
})

t.test('what is no daemon says so in its own words', { skip }, async (t) => {
  const opening = (...command: string[]) => storeOf([...sshCommand('forge'), '--', ...command])
  const missing = await problemOf(opening('nix-demon', '--stdio'))
  t.equal(missing.message, 'no Nix daemon answered')
  t.match(missing.detail, 'nix-demon: command not found')
  const refused = await problemOf(opening('sudo', '-n', 'nix-daemon', '--stdio'))
  t.equal(refused.message, 'no Nix daemon answered')
  t.match(refused.detail, /^sudo: /)
  const chatty = await problemOf(opening('echo Welcome to forge; exec nix-daemon --stdio'))
  t.equal(chatty.message, 'something else than a Nix daemon answered')
  t.match(chatty.detail, 'Welcome to forge')
})

t.test('a login that the host does not trust cannot bring unsigned paths, and is told why', { skip }, async (t) => {
  const root = await builtOnForge({ small: 1, big: 0, megabytes: 0 })
  const [from, to] = await Promise.all([
    kept(daemonOf('forge')),
    kept(storeOf([...sshCommand('dave'), '--', 'nix-daemon', '--stdio'])),
  ])
  t.equal(to.store.trusted, false)
  const problem = await problemOf(copyOf([root], { from: from.store, to: to.store }))
  t.match(problem.message, /lacks a (valid )?signature/)
  t.match(problem.hints[0], 'signed paths')
  // Cut off while it hears of a path, a daemon that speaks to another one for a login that isn't root's waits for ever.
  await inside('dave', 'pkill -f "^nix-daemon --stdio"')
})
