/** `deploy status HOST..` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { statusLines } from './host-lines.ts'
import { lookAt } from './look-at.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const status = verb({
  name: 'status',
  words: '[host..]',
  summary: 'what hosts run now, and whether they would still run it after a reboot',
  examples: [
    ['$0 status dave', 'look at one host'],
    ['$0 status --all', 'look at every host'],
  ],
  options: { ...selectionOptions, ...outputOptions },
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { statusOf, standing } = await import('../deployment/status.ts')
    const found = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      lookAt(hosts, tools, statusOf),
    )
    return concludeFindings(
      found,
      {
        lines: (name, state) => statusLines(name, state, standing(state), machine.clock.now().getTime()),
        data: (state) => ({ ...state, standing: standing(state) }),
      },
      { output: given, machine },
    )
  },
})
