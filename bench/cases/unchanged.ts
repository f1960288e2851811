/** Nothing has changed: how long until that is known, and in how many turns. */
import type { Case } from '../case.ts'
import { links } from '../links.ts'
import { alternate, type Row, summary, times } from '../measure.ts'
import { nixosRebuild } from '../peers.ts'
import { recordExecutions } from '../../test/lab/lab.mjs'

const limits: Record<string, number> = { loopback: 0.6, wan: 0.5 }

/** A channel is opened, a command started, and then it answers. */
const turnsOfCommand = 3

export const unchanged: Case = {
  name: 'unchanged',
  summary: 'a deployment with nothing to do, connections to builder and host included',
  async run({ place, runs }) {
    const rows: Row[] = []
    await place.configure({})
    for (const link of links) {
      const taken = await alternate(
        {
          ours: { run: () => place.timed(`deploy dave-${link.name} > /dev/null`, link) },
          peer: { run: () => place.timed(nixosRebuild(link), link) },
        },
        { runs, warm: true },
      )
      const [ours, peer] = [times(taken.ours), times(taken.peer)]
      const limit = limits[link.name]
      rows.push({
        name: `nothing changed, ${link.name}`,
        unit: 'ms',
        ours,
        peer,
        against: 'nixos-rebuild',
        ratio: ours.median / peer.median,
        ...(limit !== undefined && { limit }),
      })
      if (link.name !== 'loopback') continue
      const counted = (of: (took: (typeof taken.ours)[number]) => number) => summary(taken.ours.map(of))
      const connections = counted(({ traffic }) => traffic.dave.connections)
      rows.push({
        name: 'nothing changed, connections',
        unit: 'connections',
        ours: connections,
        ratio: connections.max,
        limit: 1,
      })
      // what is to be a turn and what only renews a window can't be told from outside: commands can be counted
      const recording = await recordExecutions('dave')
      await place.run('deploy dave-loopback')
      const commands = (await recording.stop()).filter(({ command }) => command === 'sudo').length
      const turns = summary([turnsOfCommand * commands])
      rows.push({
        name: 'nothing changed, turns after the login',
        unit: 'turns',
        ours: turns,
        ratio: turns.max,
        limit: 3,
      })
    }
    return rows
  },
}
