/** Every systemd watches a dozen places, and all machines count as one user, root: the kernel's 128 are soon used up. */

import { readFileSync, writeFileSync } from 'node:fs'

const limit = '/proc/sys/fs/inotify/max_user_instances'
const enough = 4096

/** Raises the limit of the computer when it is lower. Where that is not allowed, a few machines work all the same. */
export function raiseInotifyLimit() {
  try {
    if (Number(readFileSync(limit, 'utf8')) < enough) writeFileSync(limit, String(enough))
  } catch {
    // read-only in a container
  }
}
