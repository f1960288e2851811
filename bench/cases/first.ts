/** 44 paths that the host has never seen, evaluated, built, copied and switched to. */
import type { Case } from '../case.ts'
import { linkNamed } from '../links.ts'
import { alternate, times } from '../measure.ts'
import { nixosRebuild } from '../peers.ts'

export const first: Case = {
  name: 'first',
  summary: 'a deployment of 44 new paths, wan',
  async run({ place, runs }) {
    const link = linkNamed('wan')
    let version = Date.now()
    const prepare = () => {
      version += 1
      return place.configure({ packages: { count: 40, size: 20000, version: `${version}` } })
    }
    const taken = await alternate(
      {
        ours: { prepare, run: () => place.timed(`deploy dave-${link.name} > /dev/null`, link) },
        peer: { prepare, run: () => place.timed(nixosRebuild(link), link) },
      },
      { runs },
    )
    const [ours, peer] = [times(taken.ours), times(taken.peer)]
    return [
      {
        name: 'first deployment of 44 paths, wan',
        unit: 'ms',
        ours,
        peer,
        against: 'nixos-rebuild',
        ratio: ours.median / peer.median,
        limit: 0.2,
      },
    ]
  },
}
