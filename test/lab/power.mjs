/** The machines' power: on, off, cut. */

import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { removeGroups } from './cgroups.mjs'
import { cutDisk, hasDisk } from './disk.mjs'
import { isVirtual, machine } from './machines.mjs'
import { ensureNetwork, linkDown, unplug } from './network.mjs'
import { machinePaths } from './paths.mjs'
import { privately } from './private-mounts.mjs'
import { pause, until } from './run.mjs'
import { ssh, waitForSsh } from './ssh.mjs'

/**
 * What the mainboard says of itself.
 * @typedef {{ mainboard: number, nspawn?: number | undefined, qemu?: number | undefined, boot: import('./boot-loader.mjs').Boot }} Power
 */

/** @param {string} name @returns {Power | undefined} nothing when it is off */
export function power(name) {
  const file = machinePaths(machine(name) && name).power
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // never switched on, or a mainboard that ends takes it away at this moment
    return undefined
  }
  const said = /** @type {Power} */ (JSON.parse(text))
  // after the computer itself was switched off, the file is all that is left
  return commandOf(said.mainboard).some((word) => /\/(virtual-)?mainboard\.mjs$/.test(word)) ? said : undefined
}

/** A path as the mainboard sees it: nobody else sees the disk mounted. @param {number} mainboard @param {string} path */
const outside = (mainboard, path) => `/proc/${mainboard}/root${path}`

/**
 * The machine's files while it is on, for reading them from outside.
 * @param {string} name
 * @returns {{ root: string, nix: string }} its / without /nix, and its /nix
 */
export function filesOf(name) {
  const said = power(name)
  if (said === undefined) throw new Error(`${name} is not on`)
  const paths = machinePaths(name)
  return { root: outside(said.mainboard, paths.root), nix: outside(said.mainboard, paths.nix) }
}

/** @param {number} pid */
function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** The machine's first process, by its id outside. @param {string} name @returns {number | undefined} */
export function firstProcess(name) {
  const nspawn = power(name)?.nspawn
  if (nspawn === undefined) return undefined
  try {
    const children = readFileSync(`/proc/${nspawn}/task/${nspawn}/children`, 'utf8').split(' ').filter(Boolean)
    const isFirst = (/** @type {string} */ pid) => /^NSpid:\t\d+\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    const found = children.find(isFirst)
    return found === undefined ? undefined : Number(found)
  } catch {
    return undefined
  }
}

/**
 * Switches a machine on and waits until its user can log in.
 * @param {string} name
 * @param {{ wait?: boolean, seconds?: number, choose?: string, memory?: number }} [options] `wait: false` returns as soon
 *   as it has power; `choose` is the system that somebody picks in the boot menu; `memory`: bytes, for a virtual machine
 */
export async function powerOn(name, { wait = true, seconds = isVirtual(name) ? 400 : 180, choose, memory } = {}) {
  if (!hasDisk(name)) throw new Error(`${name} has no disk: bring it up first`)
  if (power(name) === undefined) {
    const paths = machinePaths(name)
    await ensureNetwork()
    rmSync(paths.power, { force: true })
    const console = openSync(paths.console, 'w')
    const board = isVirtual(name) ? 'virtual-mainboard.mjs' : 'mainboard.mjs'
    const [program = '', ...rest] = privately(board, name, ...(choose === undefined ? [] : [choose]))
    const env = { ...process.env, ...(memory && { DEPLOY_LAB_MEMORY: String(memory / 1024 ** 2) }) }
    const child = spawn(program, rest, { detached: true, stdio: ['ignore', console, console], env })
    closeSync(console)
    child.unref()
    await until(() => existsSync(paths.power) || child.exitCode !== null, {
      seconds: 60,
      otherwise: `${name} does not come on: see ${paths.console}`,
    })
  }
  const boot = power(name)?.boot
  if (boot === undefined) throw new Error(`${name} went off at once:\n${consoleEnd(name)}`)
  if (!wait) return
  if (boot.kind === 'dead') throw new Error(`${name} does not boot: ${boot.reason}`)
  // each login to an emulated machine is seconds of arithmetic
  await waitForSsh(name, {
    seconds,
    isOn: () => power(name) !== undefined,
    otherwise: () => consoleEnd(name),
  })
}

/** @param {string} name */
function consoleEnd(name) {
  const file = machinePaths(name).console
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-12).join('\n') : ''
}

/** SIGRTMIN+4: systemd's for "power off". */
const powerOffSignal = 38

/** Shuts a machine down in good order. @param {string} name */
export async function powerOff(name) {
  if (power(name)?.qemu !== undefined) return powerOffVirtual(name)
  const first = firstProcess(name)
  if (first === undefined) return powerCut(name)
  process.kill(first, powerOffSignal)
  const end = Date.now() + 60_000
  while (power(name) !== undefined && Date.now() < end) await pause(50)
  if (power(name) !== undefined) await powerCut(name)
}

/** @param {string} name */
async function powerOffVirtual(name) {
  await ssh(name, 'systemctl poweroff', { user: 'root', timeout: 40_000 })
  const end = Date.now() + 60_000
  while (power(name) !== undefined && Date.now() < end) await pause(200)
  if (power(name) !== undefined) await powerCut(name)
}

/** The power fails: the network is silent at once, every process is gone, and so is what was not synced to the disk. @param {string} name */
export async function powerCut(name) {
  const said = power(name)
  if (said === undefined) return cleanUp(name)
  if (said.boot.kind === 'virtual') {
    process.kill(said.qemu ?? said.mainboard, 'SIGKILL')
    return until(() => power(name) === undefined, { seconds: 20, otherwise: `${name} does not go off` })
  }
  const first = firstProcess(name)
  const disk = outside(said.mainboard, machinePaths(name).disk)
  if (said.nspawn !== undefined) await linkDown(name)
  // Nothing runs, and the mainboard takes its mounts with it.
  else await cutDisk(disk)
  try {
    if (first !== undefined) process.kill(first, 'SIGKILL')
    else process.kill(said.nspawn ?? said.mainboard, said.nspawn === undefined ? 'SIGTERM' : 'SIGKILL')
  } catch {
    // it was shutting down, and has just ended
  }
  if (said.nspawn !== undefined) await cutDisk(disk)
  await until(() => power(name) === undefined, { seconds: 60, otherwise: `${name} does not go off` })
}

/** What a mainboard that was killed itself has left. @param {string} name */
async function cleanUp(name) {
  await unplug(name)
  removeGroups(name)
  rmSync(machinePaths(name).power, { force: true })
}

/** Throws the machine's disk away. @param {string} name */
export async function wipe(name) {
  if (power(name) !== undefined) await powerCut(name)
  await cleanUp(name)
  await rm(machinePaths(name).directory, { recursive: true, force: true })
}
