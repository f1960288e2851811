/** Real packages over a slow line: what counts is how many bytes they are made into. */
import type { Bench, Case } from '../case.ts'
import { buildPackages, packagesOf, upTo } from '../content/content.ts'
import { linkNamed } from '../links.ts'
import { alternate, type Row, times } from '../measure.ts'
import { nixCopy } from '../peers.ts'
import { copier, floorOf, memoryRows, ours, sent } from './copying.ts'

const realPackages = (megabytes: number): Case => ({
  name: `packages-${megabytes}`,
  summary: `${megabytes} MB of real packages from builder to host through this machine, wifi`,
  async run(bench: Bench): Promise<Row[]> {
    const link = linkNamed('wifi')
    const { packages } = await packagesOf('workstation')
    const content = await buildPackages('workstation', upTo(packages, megabytes * 1e6), { name: `real-${megabytes}` })
    bench.say(`${content.paths} paths, ${(content.size / 1e6).toFixed(1)} MB`)
    const taken = await alternate(
      {
        ours: copier(bench, link, content, ours(link, content)),
        peer: copier(bench, link, content, nixCopy(link, 'ssh-ng', content.top)),
      },
      { runs: bench.runs },
    )
    const [mine, theirs] = [times(taken.ours), times(taken.peer)]
    const [less, more] = [sent(taken.ours), sent(taken.peer)]
    const against = 'nix copy, ssh-ng'
    const floor = floorOf(link, 1e6 * less.median)
    const name = `${megabytes} MB of packages, wifi`
    return [
      { name, unit: 'ms', ours: mine, peer: theirs, against, ratio: mine.median / theirs.median, limit: 0.45 },
      {
        name: `${name}: bytes`,
        unit: 'MB',
        ours: less,
        peer: more,
        against,
        ratio: less.median / more.median,
        limit: 0.45,
      },
      { name: `${name}, against the floor`, unit: 'ms', ours: mine, floor, ratio: mine.median / floor, limit: 1.15 },
      ...memoryRows(name, taken.ours),
    ]
  },
})

export const packages60 = realPackages(60)
export const packages300 = realPackages(300)
