/** Logging in to a machine as its user does, over the lab's network. */

import { harnessKey, knownHostsFile } from './keys.mjs'
import { address, hostname, machine } from './machines.mjs'
import { onTheNetwork } from './network.mjs'
import { attempt, pause } from './run.mjs'

/**
 * The command that logs in to a machine, for whoever starts it himself.
 * @param {string} name
 * @param {{ user?: string, terminal?: boolean }} [options]
 * @returns {string[]} argv; a script may be appended
 */
export function sshCommand(name, { user = machine(name).user, terminal = false } = {}) {
  const options = {
    IdentityFile: harnessKey,
    IdentitiesOnly: 'yes',
    UserKnownHostsFile: knownHostsFile,
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    HostKeyAlias: hostname(name),
    BatchMode: 'yes',
    LogLevel: 'ERROR',
    ConnectTimeout: '30',
  }
  const flags = Object.entries(options).flatMap(([option, value]) => ['-o', `${option}=${value}`])
  return onTheNetwork(['ssh', '-F', 'none', ...flags, ...(terminal ? ['-t'] : []), `${user}@${address(name)}`])
}

/**
 * Runs a script on a machine, in the login shell of the user.
 * @param {string} name @param {string} script
 * @param {import('./run.mjs').RunOptions & { user?: string }} [options]
 */
export const ssh = (name, script, options = {}) => attempt([...sshCommand(name, options), '--', script], options)

/**
 * @param {string} name
 * @param {{ seconds: number, isOn: () => boolean, otherwise: () => string }} limits
 */
export async function waitForSsh(name, { seconds, isOn, otherwise }) {
  const end = Date.now() + seconds * 1000
  let last = ''
  while (Date.now() < end && isOn()) {
    const { code, stderr } = await ssh(name, 'true', { timeout: 40_000 })
    if (code === 0) return
    last = stderr.trim()
    await pause(100)
  }
  throw new Error(`nobody can log in to ${name}: ${isOn() ? last : 'it went off'}\n${otherwise()}`)
}
