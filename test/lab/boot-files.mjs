/** What the flake needs to make systems that a virtual machine boots: kernel, initrd and busybox of its architecture. */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureImage, imageDirectory } from './images.mjs'
import { cacheDirectory } from './paths.mjs'
import { run } from './run.mjs'

const script = fileURLToPath(new URL('make-boot-files.sh', import.meta.url))

/** @returns {Promise<string>} a directory to be laid over the flake */
export async function ensureBootFiles() {
  const image = await ensureImage('pi')
  const made = createHash('sha256').update(imageDirectory('pi')).update(readFileSync(script))
  const directory = join(cacheDirectory, 'boot-files', `pi-${made.digest('hex').slice(0, 12)}`)
  if (existsSync(directory)) return directory
  mkdirSync(join(cacheDirectory, 'boot-files'), { recursive: true })
  const busybox = join(await ensureImage('trixie'), 'usr/bin/busybox')
  await run(['flock', `${directory}.lock`, 'sh', script, image, busybox, directory])
  return directory
}
