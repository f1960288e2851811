/** `deploy log HOST [ID]` */
import { isDeploymentId } from '../activation/kept-log.ts'
import { Problem } from '../problem.ts'
import { atWork } from './at-work.ts'
import { chosenHost } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { logLines } from './host-lines.ts'
import { lookAt } from './look-at.ts'
import { outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

const { hosts: inventoryOption } = selectionOptions

export const log = verb({
  name: 'log',
  words: '<host> [id]',
  summary: 'what the switch of a deployment printed; without ID, of the last one',
  examples: [
    ['$0 log dave', 'of the last deployment, or so far of the one under way'],
    ['$0 log dave 20261126t142316-3f9a1c', '`deploy history dave` shows the ids'],
  ],
  options: { hosts: inventoryOption, ...outputOptions },
  async run(given, machine) {
    const [name, id, ...rest] = given.words
    if (rest.length > 0 || (id !== undefined && !isDeploymentId(id))) {
      throw new Problem(rest.length > 0 ? 'log takes a host and one id' : `${id} is no id of a deployment`, {
        kind: 'usage',
        hints: ['`deploy history` shows the ids'],
      })
    }
    const choice = { ...given, words: name === undefined ? [] : [name] }
    const { inventory, host } = await chosenHost('log', choice, machine)
    const { logOf } = await import('../deployment/status.ts')
    const found = await atWork({ inventory, hosts: [host], verbose: given.verbose }, machine, (tools) =>
      lookAt([host], tools, (one) => logOf(one, id, tools)),
    )
    return concludeFindings(found, { lines: logLines, data: (kept) => kept }, { output: given, machine })
  },
})
