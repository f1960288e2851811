/** The packages from npm and the compiled program: installed when they are missing or no longer what the lock file says. */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @typedef {{ version?: string, optional?: boolean, peer?: boolean }} Locked
 * @param {string} file a lock file
 * @returns {Record<string, Locked>}
 */
const packagesIn = (file) => JSON.parse(readFileSync(file, 'utf8')).packages

/** Whether node_modules is what package-lock.json says. @param {string} directory of the repository */
export function isInstalled(directory) {
  const hidden = join(directory, 'node_modules', '.package-lock.json')
  if (!existsSync(hidden)) return false
  const installed = packagesIn(hidden)
  const wanted = Object.entries(packagesIn(join(directory, 'package-lock.json')))
  return wanted.every(
    ([path, { version, optional }]) =>
      path === '' || (installed[path] === undefined ? optional === true : installed[path].version === version),
  )
}

/**
 * @param {string} directory of the repository
 * @param {(line: string) => void} say
 * @returns {boolean} whether the program is installed and compiled
 */
export function ensureNodePackages(directory, say) {
  if (isInstalled(directory)) {
    // compiles what it can even when a type is wrong
    if (npm(directory, ['run', '--silent', 'build'])) return true
    say('the program does not compile')
    return false
  }
  say('installing packages from npm')
  // this also compiles: its "prepare" is the build
  if (npm(directory, ['ci', '--no-audit', '--no-fund', '--loglevel=error'])) return true
  say('npm ci failed')
  return false
}

/** @param {string} directory @param {string[]} words @returns {boolean} */
function npm(directory, words) {
  const { status, error } = spawnSync('npm', words, { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error) throw error
  return status === 0
}
