/** 400 small paths over a long line: whoever takes a turn for each path waits for it. */
import type { Case } from '../case.ts'
import { buildSmall, packagesOf } from '../content/content.ts'
import { linkNamed } from '../links.ts'
import { alternate, type Row, times } from '../measure.ts'
import { nixCopy, nixCopyClosure } from '../peers.ts'
import { copier, floorOf, memoryRows, ours, sent } from './copying.ts'

export const smallPaths: Case = {
  name: 'small-paths',
  summary: '400 small paths from builder to host through this machine, wan',
  async run(bench) {
    const link = linkNamed('wan')
    const { packages } = await packagesOf('trixie')
    const content = await buildSmall('trixie', packages, 400, { name: 'small-400' })
    bench.say(`${content.paths} paths, ${(content.size / 1e6).toFixed(1)} MB`)
    const of = (command: string) => copier(bench, link, content, command)
    const taken = await alternate(
      { ours: of(ours(link, content)), peer: of(nixCopy(link, 'ssh-ng', content.top)) },
      { runs: bench.runs },
    )
    // minutes each, and it changes little
    const slow = await alternate(
      { ssh: of(nixCopy(link, 'ssh', content.top)), closure: of(nixCopyClosure(link, content.top)) },
      { runs: 1 },
    )
    const mine = times(taken.ours)
    const name = '400 small paths, wan'
    const against = (taken: typeof slow.ssh, peer: string): Row => {
      const theirs = times(taken)
      return {
        name: `${name}, against ${peer}`,
        unit: 'ms',
        ours: mine,
        peer: theirs,
        against: peer,
        ratio: mine.median / theirs.median,
        limit: 0.1,
      }
    }
    const floor = floorOf(link, 1e6 * sent(taken.ours).median)
    return [
      against(taken.peer, 'nix copy, ssh-ng'),
      against(slow.ssh, 'nix copy, ssh'),
      against(slow.closure, 'nix-copy-closure'),
      { name: `${name}, against the floor`, unit: 'ms', ours: mine, floor, ratio: mine.median / floor, limit: 1.5 },
      ...memoryRows(name, taken.ours),
    ]
  },
}
