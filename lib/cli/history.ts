/** `deploy history HOST..` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { historyLines } from './host-lines.ts'
import { lookAt } from './look-at.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const history = verb({
  name: 'history',
  words: '[host..]',
  summary: 'who deployed what to hosts, when, and how it ended',
  examples: [['$0 history dave', 'newest first']],
  options: { ...selectionOptions, ...outputOptions },
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { historyOf } = await import('../deployment/status.ts')
    const found = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      lookAt(hosts, tools, historyOf),
    )
    return concludeFindings(
      found,
      { lines: historyLines, data: (entries) => ({ history: entries }) },
      { output: given, machine },
    )
  },
})
