/** `deploy rollback HOST [--to N]` */
import { atWork } from './at-work.ts'
import { chosenHost } from './chosen-hosts.ts'
import { concludeOutcomes } from './conclude.ts'
import {
  limitsOf,
  modeOption,
  outputOptions,
  rebooting,
  rebootOption,
  selectionOptions,
  wholeNumber,
} from './options.ts'
import { verb } from './verb.ts'

const { hosts: inventoryOption } = selectionOptions

export const rollback = verb({
  name: 'rollback',
  words: '<host>',
  summary: 'deploy an older generation that the host still has, with the same checks',
  examples: [
    ['$0 rollback dave', 'go back to the system before the present one'],
    ['$0 rollback dave --to 41', 'go to generation 41; `deploy generations dave` lists them'],
  ],
  options: {
    hosts: inventoryOption,
    to: {
      type: 'string',
      requiresArg: true,
      value: 'N',
      describe: 'the number of a generation',
      group: 'How',
      coerce: (value: string | undefined): number | undefined => wholeNumber('--to', value),
    },
    ...modeOption,
    ...rebootOption,
    ...outputOptions,
  } as const,
  async run(given, machine) {
    const { inventory, host: chosen } = await chosenHost('rollback', given, machine)
    const host = rebooting(chosen, given)
    const { rollBackHost } = await import('../deployment/rollback.ts')
    const { turns } = await import('../deployment/rollout.ts')
    const outcome = await atWork({ inventory, hosts: [host], verbose: given.verbose }, machine, (tools) =>
      rollBackHost({ host, to: given.to, mode: given.mode ?? 'switch' }, tools, turns(limitsOf(1))),
    )
    return concludeOutcomes([outcome], given, machine)
  },
})
