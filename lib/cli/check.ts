/** `deploy check HOST..` */
import { atWork } from './at-work.ts'
import { checkupLines } from './checkup-lines.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { lookAt } from './look-at.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const check = verb({
  name: 'check',
  words: '[host..]',
  summary: 'run the health checks of hosts as they are now; nothing is changed',
  examples: [['$0 check @web', 'are they healthy?']],
  options: { ...selectionOptions, ...outputOptions },
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { checkHost } = await import('../deployment/check.ts')
    const found = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      lookAt(hosts, tools, checkHost),
    )
    return concludeFindings(
      found,
      {
        lines: checkupLines,
        data: (checkup) => checkup,
        countsAs: ({ healthy }) => (healthy ? undefined : 'untouched'),
      },
      { output: given, machine },
    )
  },
})
