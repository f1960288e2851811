/** Running programs of another architecture: the kernel hands them to qemu-user, in whatever root or namespace they are. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureImage } from './images.mjs'
import { run } from './run.mjs'

const directory = '/proc/sys/fs/binfmt_misc'
const handler = 'deploy-lab-aarch64'

/** The first 20 bytes of an ELF file for 64-bit ARM, and which of their bits count. */
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`

/**
 * O and C: a program that belongs to root and is setuid stays so. P: it learns the name it was called by, or busybox would
 * run the wrong applet. F: the emulator is opened now, so that it works where its file cannot be seen.
 */
const flags = 'OCPF'

/** Registers the emulator with this computer's kernel, until it is restarted. @param {(line: string) => void} [say] */
export async function ensureEmulation(say = () => {}) {
  if (!existsSync(join(directory, 'register'))) await run(['mount', '-t', 'binfmt_misc', 'binfmt_misc', directory])
  if (existsSync(join(directory, handler))) return
  const emulator = join(await ensureImage('user-emulator', say), 'usr/bin/qemu-aarch64')
  try {
    writeFileSync(join(directory, 'register'), `:${handler}:M:0:${magic}:${mask}:${emulator}:${flags}`)
  } catch (error) {
    // two labs at once
    if (!existsSync(join(directory, handler))) throw error
  }
}

/** A program of 64-bit ARM that needs nothing beside itself, which every machine of the lab can run from now on. */
export async function armBusybox() {
  await ensureEmulation()
  return join(await ensureImage('arm-busybox'), 'usr/bin/busybox')
}
