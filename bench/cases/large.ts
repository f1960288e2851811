/** A large closure without any line between: how much work each byte is. */
import type { Case } from '../case.ts'
import { buildPackages, packagesOf, type Suite } from '../content/content.ts'
import { linkNamed } from '../links.ts'
import { alternate, summary } from '../measure.ts'
import { nixCopy } from '../peers.ts'
import { copier, memoryRows, ours } from './copying.ts'

const sets: readonly (readonly [Suite, string])[] = [
  ['trixie', 'a'],
  ['forky', 'b'],
  ['bookworm', 'c'],
  ['workstation', 'd'],
  ['trixie', 'e'],
  ['forky', 'f'],
  ['bookworm', 'g'],
  ['workstation', 'h'],
]

export const large: Case = {
  name: 'large',
  summary: 'closures of 2 GB together, loopback',
  async run(bench) {
    const link = linkNamed('loopback')
    const contents = []
    for (const [suite, salt] of sets) {
      const { packages } = await packagesOf(suite)
      contents.push(await buildPackages(suite, packages, { name: `all-${suite}-${salt}`, salt }))
    }
    const top = (
      await bench.place.inside(
        'forge',
        `mkdir -p /var/lib/bench/large; cd /var/lib/bench/large; printf '%s\\n' ${contents.map(({ top }) => top).join(' ')} > paths
        nix-store --realise --add-root /nix/var/nix/gcroots/bench-large "$(nix-build --no-out-link -E 'derivation { name = "large"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $paths > $out" ]; paths = map builtins.storePath [ ${contents.map(({ top }) => top).join(' ')} ]; }')"`,
      )
    ).trim()
    const described = await bench.place.inside('forge', `nix-store -qR ${top} | xargs nix-store -q --size`)
    const sizes = described.trim().split('\n').map(Number)
    const content = { top, paths: sizes.length, size: sizes.reduce((sum, size) => sum + size, 0) }
    bench.say(`${content.paths} paths, ${(content.size / 1e6).toFixed(1)} MB`)
    const taken = await alternate(
      {
        ours: copier(bench, link, content, ours(link, content)),
        peer: copier(bench, link, content, nixCopy(link, 'ssh-ng', content.top)),
      },
      { runs: bench.runs },
    )
    const rate = (each: typeof taken.ours) => summary(each.map(({ ms }) => content.size / 1000 / ms))
    const [mine, theirs] = [rate(taken.ours), rate(taken.peer)]
    return [
      {
        name: 'a large closure, loopback',
        unit: 'MB/s',
        ours: mine,
        peer: theirs,
        against: 'nix copy, ssh-ng',
        ratio: mine.median / theirs.median,
        limit: 0.9,
        more: true,
      },
      ...memoryRows('a large closure, loopback', taken.ours),
    ]
  },
}
