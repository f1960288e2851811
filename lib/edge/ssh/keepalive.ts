/** Finds out that the other side is gone although nothing says so (a cable pulled, a machine without power). */
import type { Duplex } from 'node:stream'
import type { HostConfig } from './host-config.ts'

export interface Patience {
  readonly intervalMs: number
  readonly count: number
}

/** The user's ServerAlive values, or 15 s three times: OpenSSH's own default is to wait for ever. */
export function patienceOf(config: HostConfig): Patience {
  const seconds = Number(config.one('serveraliveinterval') ?? 0)
  return { intervalMs: (seconds > 0 ? seconds : 15) * 1000, count: Number(config.one('serveralivecountmax') ?? 3) }
}

/**
 * Calls `silent` once when nothing at all was heard for too long. ssh2 sends the questions; it would count only their
 * answers, which on a slow line queue behind megabytes of data, and give up on a connection that is busy.
 */
export function listenFor(stream: Duplex, patience: Patience, silent: () => void): { stop(): void } {
  let heard = true
  let missed = 0
  stream.on('data', () => {
    heard = true
  })
  const timer = setInterval(() => {
    missed = heard ? 0 : missed + 1
    heard = false
    if (missed <= patience.count) return
    clearInterval(timer)
    silent()
  }, patience.intervalMs)
  return { stop: () => clearInterval(timer) }
}
