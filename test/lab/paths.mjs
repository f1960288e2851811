/** Where the lab keeps its things, and which lab this is: several may run side by side under different names. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { machines } from './machines.mjs'

/** The lab's name: of its network namespace and its cgroup. A second lab on the same computer needs another one. */
export const labName = process.env.DEPLOY_LAB_NAME ?? 'lab'

/** Root file systems, keys and installed disks: worth keeping between runs. */
export const cacheDirectory = process.env.DEPLOY_LAB_CACHE ?? '/var/cache/deploy-lab'

/** The machines themselves: one directory each. */
export const stateDirectory =
  process.env.DEPLOY_LAB_STATE ?? (labName === 'lab' ? '/var/lib/deploy-lab' : `/var/lib/deploy-lab-${labName}`)

/** The repository this file is in. */
export const repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** @param {string} name */
export function machinePaths(name) {
  const directory = join(stateDirectory, 'machines', name)
  return {
    directory,
    /** the whole disk of the machine in a file: an ext4 file system; a virtual machine's has partitions */
    image: join(directory, 'disk.img'),
    /** names the image below the disk */
    lower: join(directory, 'image'),
    /** where the disk is mounted while the machine has power: `upper`, `work`, `nix` */
    disk: join(directory, 'disk'),
    /** the machine's / as seen from outside, without its /nix */
    root: join(directory, machines[name]?.firmware ? 'disk' : 'root'),
    /** the machine's /nix as seen from outside */
    nix: join(directory, 'disk', 'nix'),
    /** what it wrote on its console since it was last switched on */
    console: join(directory, 'console.log'),
    /** who runs it, while it has power */
    power: join(directory, 'power.json'),
    /** one line a process that ended, while executions are being recorded */
    accounting: join(directory, 'accounting'),
  }
}
