/** Waiting for something on a machine, with an end. */
import * as lab from '../lab/lab.mjs'
import type { Stage } from './stage.ts'

/** Until a condition of /bin/sh holds inside a machine. Rejects when it doesn't within those seconds. */
export async function eventually(machine: string, condition: string, seconds = 30): Promise<void> {
  const script = `n=0; until ${condition}; do n=$((n + 1)); [ $n -lt ${seconds * 20} ] || exit 1; sleep 0.05; done`
  const { code, stderr } = await lab.inside(machine, script, { timeout: (seconds + 60) * 1000 })
  if (code !== 0) throw new Error(`on ${machine}, not within ${seconds} s: ${condition}\n${stderr}`)
}

/** Until something seen from outside is so. Rejects when it isn't within a minute. */
export async function seen(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 1200; turn++) {
    if (await look()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`not within a minute: ${what}`)
}

/** Whether a machine has a process whose command line, joined by blanks, matches. */
export const isRunning = (machine: string, commandLine: RegExp) =>
  lab.hostProcesses(machine).some(({ argv }) => commandLine.test(argv.join(' ')))

export const running = (machine: string, commandLine: RegExp) =>
  seen(`${machine} runs ${commandLine}`, () => isRunning(machine, commandLine))

export const notRunning = (machine: string, commandLine: RegExp) =>
  seen(`${machine} does not run ${commandLine}`, () => !isRunning(machine, commandLine))

/** Stops what matches as soon as it runs, in the middle of whatever it does; resolves with how it goes on to its end. */
export async function frozen(machine: string, commandLine: RegExp): Promise<() => Promise<void>> {
  const matching = () => lab.hostProcesses(machine).filter(({ argv }) => commandLine.test(argv.join(' ')))
  const send = (signal: 'SIGSTOP' | 'SIGCONT') => {
    for (const { pid } of matching()) {
      try {
        process.kill(pid, signal)
      } catch {
        // it has ended
      }
    }
  }
  await seen(`${machine} runs ${commandLine}`, () => {
    send('SIGSTOP')
    return matching().length > 0
  })
  // More than once: sudo stops itself when it hears, late, that its command was stopped.
  return () =>
    seen(`${machine} is through with ${commandLine}`, () => {
      send('SIGCONT')
      return matching().length === 0
    })
}

/** Until a host has heard that much more than now, in bytes. */
export async function received(host: string, bytes: number): Promise<void> {
  const heard = async () => (await lab.linkBytes(host)).toMachine
  const start = await heard()
  await seen(`${host} received ${bytes} bytes`, async () => (await heard()) - start >= bytes)
}

/** A deployment on the host is in that state. */
export const inState = (host: string, state: string) => eventually(host, `grep -qs '^${state}' /run/deploy/*/state`)

/**
 * Until no deployment is under way on the host: at most the switch, the confirmation and the switch back, each with
 * its own limit, and some seconds for what is around them.
 */
export function over(host: string, { inventory }: Stage): Promise<void> {
  const { timeout, confirmWithin } = inventory.defaults.activation
  return eventually(host, `[ ! -L /run/deploy/lock ]`, total(timeout, confirmWithin, timeout) + 20)
}

/** The same for a deployment that reboots the host, and may have to boot it back, or that ends with a reboot. */
export async function overWithReboots(host: string, { inventory }: Stage): Promise<void> {
  const { timeout, confirmWithin, rebootWithin } = inventory.defaults.activation
  const end = Date.now() + total(timeout, rebootWithin, confirmWithin, timeout, rebootWithin, '20s') * 1000
  // what a disk that can't be written to still has is over when the host says so
  const isOver = `! grep -qs '^result rebooting' /run/deploy/result && [ ! -L /run/deploy/lock ] && for id in $(ls -A /var/lib/deploy/pending 2> /dev/null); do
    grep -qsx "id $id" /run/deploy/result || exit 1; done`
  const booted = 'systemctl is-system-running --wait > /dev/null; systemctl is-active --quiet default.target'
  while ((await attempt(host, `${isOver} && { ${booted}; }`)) !== 0) {
    if (Date.now() > end) throw new Error(`${host} is not through with its reboots`)
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

/** The exit code; a failure when the machine is off, or goes off meanwhile. */
const attempt = async (machine: string, script: string) =>
  lab.isOn(machine) ? (await lab.inside(machine, script, { timeout: 60_000 }).catch(() => ({ code: 1 }))).code : 1

const total = (...seconds: readonly string[]) => seconds.reduce((sum, text) => sum + Number.parseInt(text, 10), 0)
