/** Runs tap over some test files. */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { makeTally } from './tally.mjs'

/**
 * @param {readonly string[]} files
 * @param {{ directory: string, jobs: number, say: (text: string) => void, env?: Record<string, string>, timeout?: number, comments?: boolean, words?: readonly string[] }} how
 *   timeout: seconds a file may take; comments: tell what tests say of themselves; words: more of tap's own
 * @returns {Promise<{ passed: number, failed: number, skipped: number }>}
 */
export async function runTap(files, { directory, jobs, say, env = {}, timeout, comments = false, words = [] }) {
  const { read, counts } = makeTally(say, { comments })
  if (files.length === 0) return counts
  const limit = timeout === undefined ? [] : [`--timeout=${timeout}`]
  const tap = join(directory, 'node_modules', '.bin', 'tap')
  const child = spawn(tap, ['--reporter=tap', '--no-color', `--jobs=${jobs}`, ...limit, ...words, ...files], {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  for await (const line of createInterface({ input: child.stdout })) read(line)
  // a failure that was in no test: tap itself went wrong
  if ((await ended) !== 0 && counts.failed === 0) {
    say('  ✗ tap itself failed')
    counts.failed++
  }
  return counts
}
