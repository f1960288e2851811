/** A gate on a host: what waits there goes on when the test opens it, however slow the computer is. */
import * as lab from '../lab/lab.mjs'

export interface Gate {
  /** A shell command that waits until it is open. */
  readonly wait: string
  /** A health check that passes once it is open. */
  readonly check: Record<string, unknown>
  open(): Promise<void>
}

let made = 0

/** Each is a new one, and closed. A power cut closes it again. */
export function gate(host = 'dave'): Gate {
  made++
  const file = `/run/gate-${made}`
  return {
    wait: `until [ -e ${file} ]; do sleep 0.1; done`,
    check: { command: ['test', '-e', file], timeout: '1s', interval: '300ms' },
    async open() {
      const { code, stderr } = await lab.inside(host, ['touch', file])
      if (code !== 0) throw new Error(`the gate of ${host} does not open: ${stderr}`)
    },
  }
}

/** Knobs for which the new system's switch-to-configuration waits there before it does that. */
export const before = (action: 'check' | 'boot', { wait }: Gate) => ({
  preSwitchChecks: { gate: `[ "$2" != ${action} ] || ${wait}` },
})
