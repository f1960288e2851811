/** `deploy HOST..` */
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeOutcomes } from './conclude.ts'
import {
  evaluationOf,
  evaluationOptions,
  limitsOf,
  modeOption,
  outputOptions,
  parallelOption,
  rebooting,
  rebootOption,
  selectionOptions,
} from './options.ts'
import { verb } from './verb.ts'

export const deploy = verb({
  name: '',
  words: '[host..]',
  summary: 'build, copy and activate; hosts that turn out unhealthy go back by themselves',
  examples: [
    ['$0 dave', 'deploy one host'],
    ['$0 @pi', 'deploy the hosts that have the tag pi'],
    ['$0 dave --reboot', 'with a guarded reboot, if the kernel changed'],
    ["$0 'web-*' --mode boot", 'from the next boot on'],
    ['$0 --all --json', 'deploy every host, for a script'],
  ],
  options: {
    ...selectionOptions,
    ...modeOption,
    ...rebootOption,
    ...parallelOption,
    ...evaluationOptions,
    ...outputOptions,
  },
  async run(given, machine) {
    const { inventory, hosts: chosen } = await chosenHosts(given, machine)
    const hosts = chosen.map((host) => rebooting(host, given))
    const { rollOut } = await import('../deployment/rollout.ts')
    const rollout = {
      hosts,
      mode: given.mode ?? 'switch',
      evaluation: evaluationOf(given),
      limits: limitsOf(given.parallel),
    }
    const outcomes = await atWork({ inventory, hosts, verbose: given.verbose }, machine, (tools) =>
      rollOut(rollout, tools),
    )
    return concludeOutcomes(outcomes, given, machine)
  },
})
