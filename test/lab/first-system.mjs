/** What a host starts with, built on forge from the lab's flake. */

import { flakeHash, putFlake } from './flake.mjs'
import { inside } from './inside.mjs'
import { isVirtual, machine } from './machines.mjs'

export const builder = 'forge'
const flakeDirectory = '/var/lib/lab-flake'

/** Has the flake as it is now on forge, with what it needs for these hosts. @param {readonly string[]} hosts */
async function carryFlake(hosts) {
  const marker = `${flakeDirectory}/.git/${[flakeHash(), ...hosts.filter(isVirtual).sort()].join('-')}`
  const known = await inside(builder, ['test', '-e', marker])
  if (known.code === 0) return
  await putFlake(builder, flakeDirectory, { hosts })
  await inside(builder, ['touch', marker])
}

/**
 * Builds the first systems of hosts on forge, which has to be on.
 * @param {readonly string[]} names
 * @returns {Promise<Map<string, string>>} name to toplevel
 */
export async function buildFirstSystems(names) {
  await carryFlake(names)
  const { user } = machine(builder)
  const installable = (/** @type {string} */ name) =>
    `${flakeDirectory}#nixosConfigurations.${name}.config.system.build.toplevel`
  const asUser = ['runuser', '-u', user, '--', 'env', `HOME=/home/${user}`]
  const command = ['nix', 'build', '--no-link', '--print-out-paths', ...names.map(installable)]
  const result = await inside(builder, [...asUser, ...command])
  if (result.code !== 0) throw new Error(`the first systems do not build:\n${result.stderr.trim()}`)
  const toplevels = result.stdout.trim().split('\n')
  return new Map(names.map((name, index) => [name, toplevels[index] ?? '']))
}
