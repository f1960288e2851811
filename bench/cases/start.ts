/** What one waits before anything happens at all. */
import type { Bench, Case } from '../case.ts'
import { linkNamed } from '../links.ts'
import { alternate, summary, times } from '../measure.ts'

const pairs = ({ runs }: Bench) => Math.max(9, runs)

export const start: Case = {
  name: 'start',
  summary: 'deploy --help, and deploy status up to its first packet, beyond a bare node',
  async run(bench) {
    const link = linkNamed('loopback')
    const { place } = bench
    const taken = await alternate(
      {
        node: { run: () => place.timed('node -e 0', link) },
        help: { run: () => place.timed('deploy --help > /dev/null', link) },
        status: { run: () => place.timed('deploy status dave-loopback > /dev/null', link) },
      },
      { runs: pairs(bench), warm: true },
    )
    const node = times(taken.node).median
    const help = summary(taken.help.map(({ ms }) => ms - node))
    const packet = summary(taken.status.map(({ traffic, started }) => traffic.dave.first - started - node))
    return [
      { name: 'deploy --help, beyond node', unit: 'ms', ours: help, ratio: help.median, limit: 100 },
      {
        name: 'deploy status to its first packet, beyond node',
        unit: 'ms',
        ours: packet,
        ratio: packet.median,
        limit: 200,
      },
    ]
  },
}
