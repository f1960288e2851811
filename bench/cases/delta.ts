/** What changed inside of paths, in place of the paths: the host has another version of all of them. */
import type { Bench, Case } from '../case.ts'
import { buildPackages, type Content, packagesOf, upTo } from '../content/content.ts'
import { type Link, linkNamed } from '../links.ts'
import { alternate, type Contender, type Row, times } from '../measure.ts'
import { nixCopy } from '../peers.ts'
import { copier, memoryRows, ours, sent } from './copying.ts'

interface Contents {
  readonly old: Content
  readonly changed: Content
}

/** The host keeps the old content as a part of the system that it runs, and has nothing of the new one. */
function updating(bench: Bench, link: Link, { old, changed }: Contents, command: string): Contender {
  const { run } = copier(bench, link, changed, command)
  const { place } = bench
  return {
    async prepare() {
      await place.inside('dave', `rm -f /nix/var/nix/gcroots/bench-changed; nix-collect-garbage > /dev/null 2>&1`)
      await place.inside('workstation', 'nix-collect-garbage > /dev/null 2>&1')
      await place.inside('dave', `nix-store --check-validity ${old.top}`)
    },
    run,
  }
}

const withDelta = (link: Link, content: Content, delta: 'auto' | 'off' | 'best') =>
  `DEPLOY_BENCH_DELTA=${delta} ${ours(link, content)}`

/** `work` with the old content in the place of what dave runs, which is what bases are looked for in. */
async function whileRunning<Result>({ place }: Bench, { old }: Contents, work: () => Promise<Result>): Promise<Result> {
  const link = linkNamed('loopback')
  await place.run(ours(link, old))
  const runs = (await place.inside('dave', 'readlink /run/current-system')).trim()
  const show = (path: string) => place.inside('dave', `ln -sfn ${path} /run/current-system`)
  await place.inside('dave', `ln -sfn ${old.top} /nix/var/nix/gcroots/bench-old`)
  await show(old.top)
  try {
    return await work()
  } finally {
    await show(runs)
    await place.inside('dave', 'rm -f /nix/var/nix/gcroots/bench-old')
  }
}

interface Limits {
  /** of the bytes of `nix copy` */
  readonly bytes: number
  readonly best: number
  /** of the time of `nix copy`, and of our own whole paths, on `wifi` */
  readonly time: number
  readonly whole: number
}

async function measured(bench: Bench, name: string, contents: Contents, limits: Limits): Promise<Row[]> {
  const { changed } = contents
  bench.say(`${changed.paths} paths, ${(changed.size / 1e6).toFixed(1)} MB`)
  const [wifi, loopback] = [linkNamed('wifi'), linkNamed('loopback')]
  const on = (link: Link, command: string) => updating(bench, link, contents, command)
  const slow = await alternate(
    {
      ours: on(wifi, withDelta(wifi, changed, 'auto')),
      whole: on(wifi, withDelta(wifi, changed, 'off')),
      best: on(wifi, withDelta(wifi, changed, 'best')),
      peer: on(wifi, nixCopy(wifi, 'ssh-ng', changed.top)),
    },
    { runs: bench.runs },
  )
  const fast = await alternate(
    {
      ours: on(loopback, withDelta(loopback, changed, 'auto')),
      whole: on(loopback, withDelta(loopback, changed, 'off')),
    },
    { runs: bench.runs },
  )
  const row = (
    what: string,
    unit: Row['unit'],
    mine: Row['ours'],
    other: Row['ours'],
    against: string,
    limit: number,
  ): Row => ({
    name: `delta: ${name}, ${what}`,
    unit,
    ours: mine,
    peer: other,
    against,
    ratio: mine.median / other.median,
    limit,
  })
  const peer = 'nix copy, ssh-ng'
  return [
    row('wifi: bytes', 'MB', sent(slow.ours), sent(slow.peer), peer, limits.bytes),
    row('wifi, best: bytes', 'MB', sent(slow.best), sent(slow.peer), peer, limits.best),
    row('wifi', 'ms', times(slow.ours), times(slow.peer), peer, limits.time),
    row('wifi, against whole paths', 'ms', times(slow.ours), times(slow.whole), 'whole paths', limits.whole),
    row('loopback, against whole paths', 'ms', times(fast.ours), times(fast.whole), 'whole paths', 1.05),
    ...memoryRows(`delta: ${name}, wifi`, slow.ours, 48),
  ]
}

const bytes = 60e6

export const deltaHashes: Case = {
  name: 'delta-hashes',
  summary: '60 MB of real packages in which only store hashes changed, over wifi and loopback',
  async run(bench) {
    const { packages } = await packagesOf('workstation')
    const build = (salt: string) => buildPackages('workstation', upTo(packages, bytes), { name: `delta-${salt}`, salt })
    const contents = { old: await build('before'), changed: await build('after') }
    return whileRunning(bench, contents, () =>
      measured(bench, 'only hashes', contents, { bytes: 0.01, best: 0.01, time: 0.16, whole: 0.5 }),
    )
  },
}
