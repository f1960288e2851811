/** Running what the image `emulator` has: emulators, firmware, and tools for a disk with partitions. */

import { imageDirectory } from './images.mjs'
import { machinePaths } from './paths.mjs'

const enter = `
  root=$0 directory=$1
  shift
  mount --rbind /dev "$root/dev"
  mount --bind "$directory" "$root/mnt"
  exec chroot "$root" "$@"
`

/**
 * The command that runs argv there. What is mounted for it is seen by nobody else.
 * @param {string} name of the machine whose directory is at /mnt
 * @param {string[]} argv
 */
export const inEmulator = (name, argv) => {
  const privately = ['unshare', '--mount', '--propagation=private', '--']
  return [...privately, 'sh', '-ec', enter, imageDirectory('emulator'), machinePaths(name).directory, ...argv]
}
