/** One small unit has changed: evaluated, built, copied, switched; ours verified over a fresh login and confirmed as well. */
import type { Case } from '../case.ts'
import { links } from '../links.ts'
import { alternate, type Row, times } from '../measure.ts'
import { nixosRebuild } from '../peers.ts'

const limits: Record<string, number> = { loopback: 0.9, wan: 0.6 }

export const changed: Case = {
  name: 'changed',
  summary: 'one small unit has changed; only ours verifies anything',
  async run({ place, runs }) {
    const rows: Row[] = []
    let change = Date.now()
    const prepare = () => {
      change += 1
      return place.configure({ services: { bench: { type: 'oneshot', script: `echo ${change}` } } })
    }
    for (const link of links) {
      const taken = await alternate(
        {
          ours: { prepare, run: () => place.timed(`deploy dave-${link.name} > /dev/null`, link) },
          peer: { prepare, run: () => place.timed(nixosRebuild(link), link) },
        },
        { runs, warm: true },
      )
      const [ours, peer] = [times(taken.ours), times(taken.peer)]
      const limit = limits[link.name]
      rows.push({
        name: `one unit changed, ${link.name}`,
        unit: 'ms',
        ours,
        peer,
        against: 'nixos-rebuild',
        ratio: ours.median / peer.median,
        ...(limit !== undefined && { limit }),
      })
    }
    return rows
  },
}
