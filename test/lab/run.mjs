/** Running programs. Nothing here goes through a shell. */

import { execFile, spawn } from 'node:child_process'

/**
 * @typedef {object} Result
 * @property {number} code   exit code; 128 + number for a program ended by a signal that we know, else 255
 * @property {string} stdout
 * @property {string} stderr
 */

/**
 * @typedef {object} RunOptions
 * @property {string | Buffer} [input]   given on standard input, which is empty otherwise
 * @property {number} [timeout]          milliseconds; then the program is killed
 * @property {Record<string, string>} [env]  added to ours
 */

const signalNumbers = /** @type {Record<string, number>} */ ({ SIGINT: 2, SIGKILL: 9, SIGTERM: 15 })

/**
 * Runs a program to its end, whatever that is.
 * @param {string[]} argv @param {RunOptions} [options] @returns {Promise<Result>}
 */
export function attempt(argv, options = {}) {
  return new Promise((resolve, reject) => {
    const [program = '', ...rest] = argv
    const child = spawn(program, rest, {
      env: { ...process.env, ...options.env },
      ...(options.timeout === undefined ? {} : { timeout: options.timeout, killSignal: 'SIGKILL' }),
    })
    // systemd-shutdown stops all processes of a machine for a moment, and nsenter stops with the one that it waits for.
    // Nobody but us would wake it, and a machine whose process it keeps never ends.
    const wake = setInterval(() => child.kill('SIGCONT'), 500).unref()
    const output = [/** @type {Buffer[]} */ ([]), /** @type {Buffer[]} */ ([])]
    child.stdout.on('data', (chunk) => output[0]?.push(chunk))
    child.stderr.on('data', (chunk) => output[1]?.push(chunk))
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearInterval(wake)
      const [stdout, stderr] = output.map((chunks) => Buffer.concat(chunks).toString())
      resolve({ code: code ?? 128 + (signalNumbers[signal ?? ''] ?? 127), stdout: stdout ?? '', stderr: stderr ?? '' })
    })
  })
}

/**
 * Like `run`, when the output isn't text.
 * @param {string[]} argv @returns {Promise<Buffer>}
 */
export function runForBytes(argv) {
  return new Promise((resolve, reject) => {
    const [program = '', ...rest] = argv
    execFile(program, rest, { encoding: 'buffer', maxBuffer: 1 << 30 }, (error, stdout) => {
      if (error) reject(error)
      else resolve(stdout)
    })
  })
}

/**
 * Runs a program that has to succeed, and gives its standard output.
 * @param {string[]} argv @param {RunOptions} [options] @returns {Promise<string>}
 */
export async function run(argv, options = {}) {
  const result = await attempt(argv, options)
  if (result.code === 0) return result.stdout
  const said = [result.stderr.trim(), result.stdout.trim()].filter(Boolean).join('\n')
  throw new Error(`${argv.join(' ').slice(0, 300)}: exit code ${result.code}\n${said}`)
}

/** @param {number} milliseconds @returns {Promise<void>} */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/**
 * Asks until the answer is yes.
 * @param {() => boolean | Promise<boolean>} question
 * @param {{ seconds: number, otherwise: string }} limits
 */
export async function until(question, { seconds, otherwise }) {
  const end = Date.now() + seconds * 1000
  while (!(await question())) {
    if (Date.now() > end) throw new Error(otherwise)
    await pause(50)
  }
}
