/** The first NixOS system of a host, as a person writes an SD card: built on forge, put on the disk while it has no power. */

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { copyImage, createDisk, mountDisk, noteImage, unmountDisk } from './disk.mjs'
import { builder } from './first-system.mjs'
import { flakeHash } from './flake.mjs'
import { imageDirectory } from './images.mjs'
import { insideCommand } from './inside.mjs'
import { hostKey, publicKey } from './keys.mjs'
import { isVirtual, machine } from './machines.mjs'
import { cacheDirectory, machinePaths } from './paths.mjs'
import { fillSystemPartition } from './virtual-disk.mjs'
import { hardware } from './virtual-hardware.mjs'

/** Where the disk of a host with its first system is kept: a different file whenever anything it is made from changes. @param {string} name */
function flashedImage(name) {
  const made = createHash('sha256')
    .update(flakeHash())
    .update(imageDirectory(machine(name).image))
  for (const file of [
    'disk.mjs',
    'flash.mjs',
    'machines.mjs',
    'roles/host.sh',
    'virtual-disk.mjs',
    'make-boot-files.sh',
  ]) {
    made.update(readFileSync(fileURLToPath(new URL(file, import.meta.url))))
  }
  made.update(publicKey(hostKey(name)))
  return join(cacheDirectory, 'disks', `${name}-${made.digest('hex').slice(0, 12)}.img`)
}

/** @param {string} name @returns {boolean} whether flash can do without forge */
export const isFlashed = (name) => existsSync(flashedImage(name))

/**
 * Gives a host that is off a new disk with the first generation of its system on it.
 * @param {string} name
 * @param {string} [toplevel] on forge, which has to be on; not needed when such a disk has been kept
 */
export async function flash(name, toplevel) {
  const kept = flashedImage(name)
  const { image } = machinePaths(name)
  if (!existsSync(kept)) {
    if (toplevel === undefined) throw new Error(`no disk has been kept for ${name}`)
    await createDisk(name)
    await install(name, toplevel)
    return copyImage(image, kept)
  }
  await copyImage(kept, image)
  noteImage(name)
}

/** As nixos-install does it. @param {string} name @param {string} toplevel */
async function install(name, toplevel) {
  const { directory, root, nix } = machinePaths(name)
  await mountDisk(name)
  const bootFiles = hasSystemPartition(name) ? join(directory, 'boot') : undefined
  if (bootFiles !== undefined) mkdirSync(bootFiles)
  const script = `
    set -eu
    nix-store --import > /dev/null
    touch /etc/NIXOS
    nix-env --profile /nix/var/nix/profiles/system --set "$1"
    export SYSTEMD_RELAX_ESP_CHECKS=1
    NIXOS_INSTALL_BOOTLOADER=1 "$1/bin/switch-to-configuration" boot
    sync
  `
  const container = ['systemd-nspawn', '--quiet', '--register=no', '--keep-unit', '--as-pid2', '--pipe']
  const ownNix = isVirtual(name) ? [] : [`--bind=${nix}:/nix`]
  const ownBoot = bootFiles === undefined ? [] : [`--bind=${bootFiles}:/boot`]
  const mounts = [`--directory=${root}`, ...ownNix, ...ownBoot, '--private-network', '--link-journal=no']
  const settings = ['--resolv-conf=off', '--timezone=off', `--machine=${name}-flash`]
  const from = insideCommand(builder, [
    'sh',
    '-c',
    'nix-store --export $(nix-store --query --requisites "$1")',
    'sh',
    toplevel,
  ])
  const to = [...container, ...mounts, ...settings, '/bin/sh', '-c', script, 'sh', toplevel]
  try {
    await pipe(from, to)
  } finally {
    await unmountDisk(name)
  }
  if (bootFiles === undefined) return
  await fillSystemPartition(name, basename(bootFiles))
  rmSync(bootFiles, { recursive: true })
}

/** @param {string} name */
const hasSystemPartition = (name) => isVirtual(name) && hardware(name).systemPartition !== undefined

/** @param {string[]} from @param {string[]} to @returns {Promise<void>} */
function pipe(from, to) {
  const source = spawn(from[0] ?? '', from.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  const sink = spawn(to[0] ?? '', to.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] })
  source.stdout.pipe(sink.stdin)
  sink.stdin.on('error', () => {})
  let said = ''
  sink.stdout.on('data', (chunk) => (said += chunk))
  sink.stderr.on('data', (chunk) => (said += chunk))
  return new Promise((resolve, reject) => {
    sink.on('error', reject)
    sink.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`the first system can't be installed: ${said.trim()}`))
    })
  })
}
