/**
 * A side door into a machine that is on: through its namespaces, whatever has become of its sshd and its network. A virtual
 * machine has none: there it is root's login.
 */

import { isVirtual, machine } from './machines.mjs'
import { firstProcess } from './power.mjs'
import { attempt } from './run.mjs'
import { sshCommand } from './ssh.mjs'

const path = '/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const environment = ['/usr/bin/env', '--ignore-environment', '--chdir=/', `PATH=${path}`, 'HOME=/root', 'LANG=C.UTF-8']

/** @param {string} name @param {string[]} argv */
function throughTheFrontDoor(name, argv) {
  const quoted = [...environment, ...argv].map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`)
  return [...sshCommand(name, { user: 'root' }), '--', quoted.join(' ')]
}

/**
 * The command that runs argv inside a machine, as root.
 * @param {string} name @param {string[]} argv
 */
export function insideCommand(name, argv) {
  if (isVirtual(name)) return throughTheFrontDoor(name, argv)
  const first = firstProcess(machine(name) && name)
  if (first === undefined) throw new Error(`${name} is not on`)
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root']
  return ['nsenter', `--target=${first}`, ...namespaces, '--', ...environment, ...argv]
}

/**
 * Runs a script with /bin/sh, or a program with its arguments, inside a machine as root.
 * @param {string} name @param {string | string[]} what
 * @param {import('./run.mjs').RunOptions} [options]
 */
export const inside = async (name, what, options = {}) =>
  attempt(insideCommand(name, typeof what === 'string' ? ['/bin/sh', '-c', what] : what), options)
