/** The lab for tests: types and words are in lab.d.mts. */

import { rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { copyImage } from './disk.mjs'
import { machineNames } from './machines.mjs'
import { removeNetwork } from './network.mjs'
import { machinePaths, stateDirectory } from './paths.mjs'
import { power, wipe } from './power.mjs'
import { up } from './up.mjs'

export { hostProcesses, limitMemory, memory, watchMemory } from './cgroups.mjs'
export { armBusybox } from './emulation.mjs'
export { recordExecutions } from './executions.mjs'
export { flakeSource, putFlake } from './flake.mjs'
export { ensureImage } from './images.mjs'
export { inside, insideCommand } from './inside.mjs'
export { controlKey, harnessKey, hostKey, knownHosts, publicKey } from './keys.mjs'
export { address, hostname, machineNames, machines } from './machines.mjs'
export { putNixOnControl } from './nix-on-control.mjs'
export { linkBytes, linkDown, linkUp, onTheNetwork } from './network.mjs'
export { stateDirectory } from './paths.mjs'
export { filesOf, firstProcess, powerCut, powerOff, powerOn, wipe } from './power.mjs'
export { ensureRequirements, whyNoLab } from './requirements.mjs'
export { ssh, sshCommand } from './ssh.mjs'
export { down, up } from './up.mjs'

/** @param {string} name */
export const isOn = (name) => power(name) !== undefined

/** Keeps the disk of a machine without power, and gives what puts it back. @param {string} name */
export async function keepDisk(name) {
  const { image } = machinePaths(name)
  await copyImage(image, `${image}.kept`)
  return () => copyImage(`${image}.kept`, image)
}

/** @param {string} name */
export const consoleOf = (name) => readFileSync(machinePaths(name).console, 'utf8')

/** @param {string} name */
export const bootOf = (name) => power(name)?.boot

/** @param {readonly string[]} names */
export async function fresh(names) {
  await Promise.all(names.map((name) => wipe(name)))
  await up(names)
}

export async function wipeAll() {
  await Promise.all(machineNames.map((name) => wipe(name)))
  await removeNetwork()
  for (const directory of [join(stateDirectory, 'machines'), stateDirectory]) await rmdir(directory).catch(() => {})
}
