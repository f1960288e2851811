/**
 * Every program that ended on a machine, however short it lived: the kernel's process accounting, switched on for the
 * machine's process namespace only.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { machinePaths } from './paths.mjs'
import { firstProcess } from './power.mjs'
import { run } from './run.mjs'

/** acct(2), by architecture. */
const accountingCall = { x64: 163, arm64: 89 }

/** struct acct_v3 of linux/acct.h. */
const record = { size: 64, user: 8, pid: 16, command: 48 }

/**
 * Records until `stop` is called, which gives what ended meanwhile: the first 15 characters of the program's name and the
 * user's number. What still runs is in hostProcesses.
 * @param {string} name
 */
export async function recordExecutions(name) {
  const file = machinePaths(name).accounting
  writeFileSync(file, '')
  await account(name, file)
  return {
    /** @returns {Promise<{ command: string, user: number, pid: number }[]>} */
    async stop() {
      await account(name, undefined)
      const bytes = readFileSync(file)
      const offsets = Array.from({ length: Math.floor(bytes.length / record.size) }, (_, index) => index * record.size)
      return offsets.map((offset) => {
        const [command = ''] = bytes.toString('utf8', offset + record.command, offset + record.size).split('\0')
        const user = bytes.readUInt32LE(offset + record.user)
        return { command, user, pid: bytes.readUInt32LE(offset + record.pid) }
      })
    },
  }
}

/** @param {string} name @param {string | undefined} file */
async function account(name, file) {
  const first = firstProcess(name)
  if (first === undefined) throw new Error(`${name} is not on`)
  const number = accountingCall[/** @type {'x64'} */ (process.arch)]
  // the namespace of whoever makes the call is the one that is recorded
  const script = `my $file = shift; syscall(${number}, defined $file ? $file : 0) == 0 or die "acct: $!"`
  await run([
    'nsenter',
    `--target=${first}`,
    '--pid',
    '--',
    'perl',
    '-e',
    script,
    ...(file === undefined ? [] : [file]),
  ])
}
