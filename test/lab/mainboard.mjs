/**
 * A machine as long as it has power: a process of its own, started by power.mjs with the machine's name. It mounts the
 * disk, plays the boot loader, runs the machine's first process under systemd-nspawn, and does so again after a reboot.
 */

import { spawn } from 'node:child_process'
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readBootLoader } from './boot-loader.mjs'
import { makeGroups, removeGroups } from './cgroups.mjs'
import { mountDisk, unmountDisk } from './disk.mjs'
import { hasNix, machine } from './machines.mjs'
import { namespaceOf, plugIn, unplug } from './network.mjs'
import { machinePaths, repository } from './paths.mjs'

/** What systemd-nspawn ends with when the machine asked to be rebooted. */
const rebooted = 133

const name = process.argv[2] ?? ''
const paths = machinePaths(name)

try {
  await mountDisk(name)
  let chosen = process.argv[3]
  while ((await boot(chosen)) === rebooted) chosen = undefined
} finally {
  await unplug(name)
  removeGroups(name)
  await unmountDisk(name)
  rmSync(paths.power, { force: true })
}

/** @param {string} [chosen] the system picked in the boot menu @returns {Promise<number>} how it ended */
async function boot(chosen) {
  const loaded = readBootLoader(paths.root, chosen)
  if (loaded.kind === 'dead') {
    say({ mainboard: process.pid, boot: loaded })
    // it sits there and does nothing, as a dead computer does, until the power is cut
    return new Promise((resolve) => {
      const nothing = setInterval(() => {}, 1 << 30)
      process.once('SIGTERM', () => {
        clearInterval(nothing)
        resolve(1)
      })
    })
  }
  await plugIn(name)
  const program = loaded.kind === 'nixos' ? [loaded.init, ...loaded.arguments] : ['--boot']
  const nspawn = [
    ...['systemd-nspawn', '--quiet', `--directory=${paths.root}`, `--machine=${name}`, `--hostname=${name}`],
    ...['--register=no', '--keep-unit', '--capability=all', '--console=pipe', `--link-journal=no`],
    ...['--resolv-conf=off', '--timezone=off', `--network-namespace-path=/run/netns/${namespaceOf(name)}`],
    ...mounts(),
    ...program,
  ]
  const join = 'for file in $GROUPS_TO_JOIN; do echo $$ > "$file"; done; unset GROUPS_TO_JOIN; exec "$@"'
  const console = openSync(paths.console, 'a')
  const child = spawn('bash', ['-c', join, 'bash', ...nspawn], {
    stdio: ['ignore', console, console],
    env: {
      PATH: process.env.PATH,
      GROUPS_TO_JOIN: makeGroups(name).join(' '),
      // newer systemd wants to see cgroup v2, and Nix's sandbox a /proc it can mount over
      SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1',
      SYSTEMD_NSPAWN_API_VFS_WRITABLE: '1',
    },
  })
  closeSync(console)
  say({ mainboard: process.pid, nspawn: child.pid, boot: loaded })
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)))
}

function mounts() {
  const program = machine(name).role === 'control' ? [`--bind-ro=${repository}:/opt/deploy`] : []
  if (!hasNix(name)) return program
  // as on NixOS: Nix makes it writable for itself
  return [...program, `--bind=${paths.nix}:/nix`, `--bind-ro=${paths.nix}/store:/nix/store`]
}

/** Tells power.mjs how far we are. @param {import('./power.mjs').Power} power */
function say(power) {
  writeFileSync(`${paths.power}.new`, JSON.stringify(power))
  renameSync(`${paths.power}.new`, paths.power)
}
