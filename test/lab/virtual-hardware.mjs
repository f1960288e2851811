/** What the virtual machines are made of, by their firmware: qemu's words, and the partitions that the firmware looks for. */

import { machine } from './machines.mjs'

const mebibyte = 1024 ** 2

/**
 * @typedef {object} Hardware
 * @property {string[]} qemu         the emulator, the machine and its firmware
 * @property {string} [variables]    what the chip for the firmware's variables holds at first: a file of the emulator's image
 * @property {'dos' | 'gpt'} table   of the disk's partitions
 * @property {number} rootStart      bytes; the root partition reaches from there to `tableEnd` before the end of the disk
 * @property {{ start: number, size: number }} [systemPartition]  bytes: FAT, before the root partition
 */

/** @type {Record<'u-boot' | 'uefi', Hardware>} */
const kinds = {
  /** as an SD card for a board */
  'u-boot': {
    qemu: ['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a72', '-bios', '/usr/lib/u-boot/qemu_arm64/u-boot.bin'],
    table: 'dos',
    rootStart: 8 * mebibyte,
  },
  /** as a PC, with Secure Boot off */
  uefi: {
    qemu: [
      ...['qemu-system-x86_64', '-M', 'q35', '-cpu', 'max'],
      ...['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd'],
      ...['-drive', 'if=pflash,unit=1,format=raw,file=/mnt/variables.fd'],
    ],
    variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
    table: 'gpt',
    systemPartition: { start: mebibyte, size: 511 * mebibyte },
    rootStart: 512 * mebibyte,
  },
}

/** @param {string} name of a virtual machine @returns {Hardware} */
export function hardware(name) {
  const { firmware } = machine(name)
  if (firmware === undefined) throw new Error(`${name} is no virtual machine`)
  return kinds[firmware]
}

/** A GPT has a copy of itself there. */
export const tableEnd = mebibyte
