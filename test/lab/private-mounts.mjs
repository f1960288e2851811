/**
 * Running parts of the lab where what they mount is seen by nobody else. Mounted in the open, a disk would stay in use
 * for as long as any process on the computer that made itself a mount namespace meanwhile.
 */

import { fileURLToPath } from 'node:url'

/**
 * The command that runs one of the lab's own files there.
 * @param {string} file beside this one
 * @param {string[]} words its arguments
 * @returns {string[]}
 */
export const privately = (file, ...words) => {
  const path = fileURLToPath(new URL(file, import.meta.url))
  return ['unshare', '--mount', '--propagation=private', '--', process.execPath, path, ...words]
}
