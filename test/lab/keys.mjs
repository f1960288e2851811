/** SSH keys: each machine's own host key, the control machine's key, and the harness's. Made once, kept in the cache. */

import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
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

/** What the stand-in for nixbuild.net signs with, as Nix writes it: `NAME:BASE64`. @returns {{ secret: string, public: string }} */
export const signingKey = () => JSON.parse(readFileSync(signingKeyFile, 'utf8'))

const signingKeyFile = join(directory, 'signing-key.json')

function makeSigningKey() {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const [seed, key] = [d, x].map((part) => Buffer.from(part, 'base64url'))
  const named = (/** @type {Buffer[]} */ ...parts) =>
    `nixbuild.net/STANDIN-1:${Buffer.concat(parts).toString('base64')}`
  return JSON.stringify({
    secret: named(seed ?? Buffer.alloc(0), key ?? Buffer.alloc(0)),
    public: named(key ?? Buffer.alloc(0)),
  })
}

/** Makes the keys that are missing. */
export async function ensureKeys() {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const key of [harnessKey, controlKey, ...machineNames.map(hostKey)]) {
    if (existsSync(`${key}.pub`)) continue
    const comment = key.slice(directory.length + 1)
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', `${comment}@lab`, '-f', key])
  }
  if (!existsSync(signingKeyFile)) await writeFile(signingKeyFile, makeSigningKey(), { mode: 0o600 })
  // In one step: other labs of this computer log in meanwhile.
  await writeFile(`${knownHostsFile}.${process.pid}`, knownHosts())
  await rename(`${knownHostsFile}.${process.pid}`, knownHostsFile)
}

/** A line a machine, by name and address. */
export function knownHosts() {
  const line = (/** @type {string} */ name) => {
    const [type, key] = publicKey(hostKey(name)).split(' ')
    return `${hostname(name)},${address(name)} ${type} ${key}\n`
  }
  return machineNames.map(line).join('')
}
