/** The lab's network: a bridge in a namespace of its own. Nothing of it is seen in the computer's own network. */

import { createHash } from 'node:crypto'
import { machine } from './machines.mjs'
import { labName } from './paths.mjs'
import { attempt, run } from './run.mjs'

/** The machine's own network namespace. @param {string} name */
export const namespaceOf = (name) => `${labName}-${name}`

const port = (/** @type {string} */ name) => `v-${name}`

/** @param {string[]} argv @returns {string[]} the command that runs argv where the lab's bridge is */
export const onTheNetwork = (argv) => ['nsenter', `--net=/run/netns/${labName}`, '--', ...argv]

/** Makes the namespace and the bridge, when they are not there. */
export async function ensureNetwork() {
  const known = await attempt(['ip', '-n', labName, 'link', 'show', 'br0'])
  if (known.code === 0) return
  await attempt(['ip', 'netns', 'delete', labName])
  await run(['ip', 'netns', 'add', labName])
  await run(['ip', '-n', labName, 'link', 'set', 'lo', 'up'])
  // Without an address of its own it takes the lowest one of its cards: when a machine reboots, the others would look for
  // outside.lab where it isn't any more, for a minute.
  await run(['ip', '-n', labName, 'link', 'add', 'br0', 'address', '02:00:00:4d:00:01', 'type', 'bridge'])
  await run(['ip', '-n', labName, 'address', 'add', '10.77.0.1/24', 'dev', 'br0'])
  await run(['ip', '-n', labName, 'link', 'set', 'br0', 'up'])
}

export const removeNetwork = () => attempt(['ip', 'netns', 'delete', labName])

/** Always the same, or the others would wait for their ARP entries to grow old. @param {string} name */
function macOf(name) {
  const number = machine(name).number.toString(16).padStart(2, '0')
  const hash = createHash('sha256').update(labName).digest('hex')
  return `02:${hash.slice(0, 2)}:${hash.slice(2, 4)}:${hash.slice(4, 6)}:00:${number}`
}

/**
 * Puts a new network card `host0`, without an address, into the machine, and its cable into the bridge: pulled, if it was
 * pulled before a reboot. @param {string} name
 */
export async function plugIn(name) {
  const before = await attempt(['ip', '-n', labName, '-j', 'link', 'show', port(name)])
  const state = before.code === 0 && !JSON.parse(before.stdout)[0].flags.includes('UP') ? 'down' : 'up'
  await unplug(name)
  const namespace = namespaceOf(name)
  await run(['ip', 'netns', 'add', namespace])
  const peer = ['peer', 'name', 'host0', 'netns', namespace, 'address', macOf(name)]
  await run(['ip', '-n', labName, 'link', 'add', port(name), 'type', 'veth', ...peer])
  await run(['ip', '-n', labName, 'link', 'set', port(name), 'master', 'br0', state])
}

/** The same for a virtual machine: a tap device, which qemu opens in the bridge's namespace. @param {string} name */
export async function plugInTap(name) {
  await unplug(name)
  await run(['ip', '-n', labName, 'tuntap', 'add', port(name), 'mode', 'tap'])
  await run(['ip', '-n', labName, 'link', 'set', port(name), 'master', 'br0', 'up'])
  return { device: port(name), mac: macOf(name) }
}

/** Takes the card out. @param {string} name */
export async function unplug(name) {
  await attempt(['ip', '-n', labName, 'link', 'delete', port(name)])
  await attempt(['ip', 'netns', 'delete', namespaceOf(name)])
}

/** Pulls the cable: packets vanish, and nobody is told. @param {string} name */
export const linkDown = (name) => run(['ip', '-n', labName, 'link', 'set', port(name), 'down'])

/** @param {string} name */
export const linkUp = (name) => run(['ip', '-n', labName, 'link', 'set', port(name), 'up'])

/** Bytes over a machine's cable since it was switched on. @param {string} name */
export async function linkBytes(name) {
  const [link] = JSON.parse(await run(['ip', '-n', labName, '-s', '-j', 'link', 'show', port(name)]))
  return { toMachine: Number(link.stats64.tx.bytes), fromMachine: Number(link.stats64.rx.bytes) }
}
