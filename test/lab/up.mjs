/** From nothing to machines that can be logged in to. */

import { createDisk, hasDisk } from './disk.mjs'
import { ensureImage } from './images.mjs'
import { ensureKeys } from './keys.mjs'
import { machine } from './machines.mjs'
import { ensureNetwork, removeNetwork } from './network.mjs'
import { power, powerOff, powerOn } from './power.mjs'
import { machineNames } from './machines.mjs'

/**
 * Makes and switches on what isn't there yet, and waits until each can be logged in to.
 * @param {readonly string[]} names
 * @param {{ say?: (line: string) => void }} [options]
 */
export async function up(names, { say = () => {} } = {}) {
  for (const image of new Set(names.map((name) => machine(name).image))) await ensureImage(image, say)
  await ensureKeys()
  await ensureNetwork()
  await Promise.all(names.map((name) => upOne(name, say)))
}

/** @param {string} name @param {(line: string) => void} say */
async function upOne(name, say) {
  if (!hasDisk(name)) await createDisk(name)
  const wasOn = power(name) !== undefined
  await powerOn(name)
  if (!wasOn) say(`${name} is on`)
}

/** Shuts down the named machines, or all of them and the network with them. @param {readonly string[]} [names] */
export async function down(names = machineNames) {
  await Promise.all(names.map((name) => powerOff(name)))
  if (machineNames.every((name) => power(name) === undefined)) await removeNetwork()
}
