/** From nothing to machines that can be logged in to. */

import { hasDisk, isOutdated } from './disk.mjs'
import { buildFirstSystems, builder } from './first-system.mjs'
import { isFlashed } from './flash.mjs'
import { ensureEmulation } from './emulation.mjs'
import { ensureImage, isForeign } from './images.mjs'
import { raiseInotifyLimit } from './inotify.mjs'
import { ensureKeys } from './keys.mjs'
import { isVirtual, machine, machineNames } from './machines.mjs'
import { ensureNetwork, removeNetwork } from './network.mjs'
import { power, powerOff, powerOn } from './power.mjs'
import { privately } from './private-mounts.mjs'
import { run } from './run.mjs'

/**
 * Makes and switches on what isn't there yet, and waits until each can be logged in to.
 * @param {readonly string[]} names
 * @param {{ say?: (line: string) => void }} [options]
 */
export async function up(names, { say = () => {} } = {}) {
  await ensureKeys()
  const hosts = names.filter((name) => machine(name).role === 'host' && needsDisk(name))
  const toBuild = hosts.filter((name) => !isFlashed(name))
  const all = new Set(toBuild.length > 0 ? [builder, ...names] : names)
  const images = new Set([...all].map((name) => machine(name).image))
  await Promise.all([...images].map((image) => ensureImage(image, say)))
  if ([...all].some(isVirtual)) await ensureImage('emulator', say)
  if ([...images].some(isForeign)) await ensureEmulation(say)
  raiseInotifyLimit()
  await ensureNetwork()

  const start = (/** @type {string} */ name) => upOne(name, { say })
  const now = [...all].filter((name) => !toBuild.includes(name)).map((name) => [name, start(name)])
  const started = new Map(/** @type {[string, Promise<void>][]} */ (now))
  if (toBuild.length > 0) {
    await started.get(builder)
    say(`building the first system of ${toBuild.join(', ')} on ${builder}, once`)
    const toplevels = await buildFirstSystems(toBuild)
    for (const [name, toplevel] of toplevels) started.set(name, upOne(name, { say, toplevel }))
  }
  await Promise.all(started.values())
}

/** @param {string} name */
const needsDisk = (name) => power(name) === undefined && (!hasDisk(name) || isOutdated(name))

/** @param {string} name @param {{ say: (line: string) => void, toplevel?: string }} how */
async function upOne(name, { say, toplevel }) {
  if (needsDisk(name)) await run(privately('prepare.mjs', name, ...(toplevel === undefined ? [] : [toplevel])))
  const wasOn = power(name) !== undefined
  await powerOn(name)
  if (!wasOn) say(`${name} is on`)
}

/** Shuts down the named machines, or all of them and the network with them. @param {readonly string[]} [names] */
export async function down(names = machineNames) {
  await Promise.all(names.map((name) => powerOff(name)))
  if (machineNames.every((name) => power(name) === undefined)) await removeNetwork()
}
