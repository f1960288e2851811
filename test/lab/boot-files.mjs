/** What the flake needs to make systems that a virtual machine boots: kernel, initrd and busybox of its architecture. */

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureImage, imageDirectory, isForeign } from './images.mjs'
import { machine } from './machines.mjs'
import { cacheDirectory } from './paths.mjs'
import { run } from './run.mjs'

const script = fileURLToPath(new URL('make-boot-files.sh', import.meta.url))

/** @param {string} name of a virtual machine @returns {Promise<string>} a directory to be laid over the flake */
export async function ensureBootFiles(name) {
  const { image } = machine(name)
  const root = await ensureImage(image)
  const made = createHash('sha256').update(imageDirectory(image)).update(readFileSync(script))
  const directory = join(cacheDirectory, 'boot-files', `${name}-${made.digest('hex').slice(0, 12)}`)
  if (existsSync(directory)) return directory
  mkdirSync(join(cacheDirectory, 'boot-files'), { recursive: true })
  const busybox = join(await ensureImage('trixie'), 'usr/bin/busybox')
  const tools = isForeign(image) ? ['bb-aarch64'] : []
  await run(['flock', `${directory}.lock`, 'sh', script, root, busybox, directory, name, ...tools])
  return directory
}
