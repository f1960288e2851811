/** What cases that copy a closure from forge to dave through the workstation have in common. */
import type { Bench } from '../case.ts'
import type { Content } from '../content/content.ts'
import type { Link } from '../links.ts'
import { type Contender, type Row, summary } from '../measure.ts'
import type { Took } from '../place.ts'

/** dave has none of it. */
export const without = ({ place }: Bench) =>
  place.inside('dave', 'nix-collect-garbage > /dev/null 2>&1 || nix-collect-garbage > /dev/null')

/** Each copies everything anew, and dave has to have all of it afterwards. */
export function copier(bench: Bench, link: Link, { top, paths }: Content, command: string): Contender {
  const { place } = bench
  return {
    prepare: async () => {
      await without(bench)
      // by way of its own store too, where a peer keeps what it has copied once
      await place.inside('workstation', 'nix-collect-garbage > /dev/null 2>&1')
    },
    async run() {
      const took = await place.timed(command, link)
      const found = await place.inside('dave', `nix-store --query --requisites ${top} | wc -l`)
      if (Number(found) !== paths) throw new Error(`dave has ${found.trim()} of ${paths} paths after: ${command}`)
      return took
    },
  }
}

export const ours = (link: Link, { top }: Content) => `node /opt/deploy/bench/copy.mjs dave-${link.name} ${top}`

/** Bytes towards the host, login and all. */
export const sent = (taken: readonly Took[]) => summary(taken.map(({ traffic }) => traffic.dave.up / 1e6))

/** Connecting takes about eight round trips, whatever is sent then. */
export const floorOf = (link: Link, bytes: number): number =>
  8 * link.roundTrip + (link.rate === 0 ? 0 : (bytes / link.rate) * 1000)

/** What dave and the workstation needed at most while ours ran; `limit` of dave's, MB. */
export function memoryRows(name: string, taken: readonly Took[], limit = 40): Row[] {
  const grown = summary(taken.map((took) => took.grown / 1e6))
  const held = summary(taken.map((took) => took.held / 1e6))
  return [
    { name: `${name}: host's memory`, unit: 'MB', ours: grown, ratio: grown.max, limit },
    { name: `${name}: control machine's memory`, unit: 'MB', ours: held, ratio: held.max, limit: 200 },
  ]
}
