/** `deploy generations HOST..` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { generationLines } from './host-lines.ts'
import { lookAt } from './look-at.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const generations = verb({
  name: 'generations',
  words: '[host..]',
  summary: 'the generations that hosts still have and can go back to',
  examples: [['$0 generations dave', 'newest first']],
  options: { ...selectionOptions, ...outputOptions },
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { stateOf } = await import('../deployment/status.ts')
    const found = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      lookAt(hosts, tools, stateOf),
    )
    return concludeFindings(
      found,
      {
        lines: generationLines,
        data: ({ generation, running, booted, boot, generations: all }) => ({
          current: generation,
          running,
          booted,
          boot,
          generations: all.map((one) => ({ ...one, time: new Date(one.time).toISOString() })),
        }),
      },
      { output: given, machine },
    )
  },
})
