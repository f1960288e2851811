/** `deploy plan HOST..` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings, foundOf } from './conclude.ts'
import { evaluationOf, evaluationOptions, outputOptions, selectionOptions } from './options.ts'
import { planData, planLines } from './plan-lines.ts'
import { verb } from './verb.ts'

export const plan = verb({
  name: 'plan',
  words: '[host..]',
  summary: 'what a deployment would do; nothing is built or changed',
  examples: [['$0 plan dave', 'evaluate, and compare with what dave runs']],
  options: { ...selectionOptions, ...evaluationOptions, ...outputOptions },
  async run(given, machine) {
    const { inventory, hosts } = await chosenHosts(given, machine)
    const { planHosts } = await import('../deployment/build.ts')
    const plans = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      planHosts(hosts, evaluationOf(given), tools),
    )
    return concludeFindings(foundOf(hosts, plans), { lines: planLines, data: planData }, { output: given, machine })
  },
})
