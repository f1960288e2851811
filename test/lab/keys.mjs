/** SSH keys: each machine's own host key, the control machine's key, and the harness's. Made once, kept in the cache. */

import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { address, hostname, machineNames } from './machines.mjs'
import { cacheDirectory } from './paths.mjs'
import { run } from './run.mjs'

const directory = join(cacheDirectory, 'keys')

/** What the tests log in with, wherever a user may log in. */
export const harnessKey = join(directory, 'harness')

/** Every machine's host key, as in ~/.ssh/known_hosts. */
export const knownHostsFile = join(directory, 'known_hosts')

/** @param {string} name of a machine @returns {string} path of its private host key */
export const hostKey = (name) => join(directory, `host-${name}`)

/** The key of the user on the control machine. */
export const controlKey = join(directory, 'control')

/** @param {string} key path of a private key @returns {string} one line */
export const publicKey = (key) => readFileSync(`${key}.pub`, 'utf8').trim()

/** Makes the keys that are missing. */
export async function ensureKeys() {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const key of [harnessKey, controlKey, ...machineNames.map(hostKey)]) {
    if (existsSync(`${key}.pub`)) continue
    const comment = key.slice(directory.length + 1)
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', `${comment}@lab`, '-f', key])
  }
  await writeFile(knownHostsFile, knownHosts())
}

/** A line a machine, by name and address. */
export function knownHosts() {
  const line = (/** @type {string} */ name) => {
    const [type, key] = publicKey(hostKey(name)).split(' ')
    return `${hostname(name)},${address(name)} ${type} ${key}\n`
  }
  return machineNames.map(line).join('')
}
