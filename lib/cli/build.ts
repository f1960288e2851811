/** `deploy build HOST..` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings, foundOf } from './conclude.ts'
import { evaluationOf, evaluationOptions, outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const build = verb({
  name: 'build',
  words: '[host..]',
  summary: 'evaluate and build on the builder; no host is touched',
  examples: [['$0 build --all', 'does everything still build?']],
  options: { ...selectionOptions, ...evaluationOptions, ...outputOptions },
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { buildToplevels } = await import('../deployment/build.ts')
    const built = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      buildToplevels(hosts, evaluationOf(given), tools),
    )
    return concludeFindings(
      foundOf(hosts, built),
      {
        // The path alone, for `$(deploy build dave)`; --json says whose it is.
        lines: (_name, { path }) => [[path]],
        data: ({ path, revision }) => ({ toplevel: path, revision }),
      },
      { output: given, machine },
    )
  },
})
