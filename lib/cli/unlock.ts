/** `deploy unlock HOST.. [--force]` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { lookAt } from './look-at.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const unlock = verb({
  name: 'unlock',
  words: '[host..]',
  summary: 'who holds hosts, and since when; what a dead deployment left is finished',
  examples: [
    ['$0 unlock dave', 'show the lock; finish the deployment if it is dead'],
    ['$0 unlock dave --force', 'call a deployment off that is alive'],
  ],
  options: {
    ...selectionOptions,
    force: { type: 'boolean', describe: 'call off a deployment that is alive: the host goes back', group: 'How' },
    ...outputOptions,
  } as const,
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { unlockHost, unlockedAs } = await import('../deployment/unlock.ts')
    const { unlockLines } = await import('./unlock-lines.ts')
    const found = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      lookAt(hosts, tools, (host) => unlockHost(host, given.force ?? false, tools)),
    )
    return concludeFindings(
      found,
      { lines: unlockLines, data: (unlocking) => unlocking, countsAs: unlockedAs },
      { output: given, machine },
    )
  },
})
