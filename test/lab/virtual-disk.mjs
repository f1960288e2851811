/** The disk of a virtual machine: a table of partitions, and the file systems in them. */

import { machine } from './machines.mjs'
import { inEmulator } from './emulator.mjs'
import { run } from './run.mjs'
import { hardware, tableEnd } from './virtual-hardware.mjs'

const sector = 512

/** @param {string} name @returns {number} bytes */
export const rootSize = (name) => machine(name).diskSize - hardware(name).rootStart - tableEnd

/** Divides a disk that is there, and makes the file system that its firmware reads, if it wants one. @param {string} name */
export async function makePartitions(name) {
  const { table, systemPartition, rootStart } = hardware(name)
  const line = (/** @type {number} */ start, /** @type {number} */ size, /** @type {string} */ kind) =>
    `start=${start / sector}, size=${size / sector}, ${kind}`
  const script = [
    `label: ${table}`,
    ...(systemPartition ? [line(systemPartition.start, systemPartition.size, 'type=uefi')] : []),
    line(rootStart, rootSize(name), table === 'dos' ? 'type=linux, bootable' : 'type=linux'),
    '',
  ]
  await run(inEmulator(name, ['sfdisk', '--quiet', '/mnt/disk.img']), { input: script.join('\n') })
  if (!systemPartition) return
  const size = ['-T', String(systemPartition.size / sector)]
  await run(inEmulator(name, ['mformat', '-i', imageAt(systemPartition.start), '-F', ...size, '::']))
}

/**
 * Copies files into the system partition of a machine without power.
 * @param {string} name
 * @param {string} directory in the machine's own
 */
export async function fillSystemPartition(name, directory) {
  const { systemPartition } = hardware(name)
  if (!systemPartition) throw new Error(`${name} has no system partition`)
  const copy = 'mcopy -s -i "$0" "/mnt/$1"/* ::'
  await run(inEmulator(name, ['sh', '-c', copy, imageAt(systemPartition.start), directory]))
}

/** As mtools names a file system within a file. @param {number} start */
const imageAt = (start) => `/mnt/disk.img@@${start}`
