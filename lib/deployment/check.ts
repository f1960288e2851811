/** `deploy check`: the health checks of a host as it is now. Nothing is changed. */
import type { CheckEdge } from '../checks/check.ts'
import { checkFor } from '../checks/index.ts'
import { verify } from '../checks/verify.ts'
import type { Host } from '../inventory/inventory.ts'
import { type Seen, see } from './status.ts'
import type { Tools } from './tools.ts'

export interface CheckResult {
  readonly title: string
  /** empty when healthy */
  readonly reason: string
  readonly severity: 'required' | 'warn'
}

export interface Checkup {
  readonly healthy: boolean
  readonly checks: readonly CheckResult[]
}

/** Each check may be tried again for this long, beyond its own time limit: as after a deployment, but not for minutes. */
const patienceMs = 5_000

export function checkHost(host: Host, tools: Tools): Promise<Seen<Checkup>> {
  return see(host, tools, async (machine) => {
    const checks = host.checks.map(checkFor)
    const reasons = new Map<string, string>()
    const edge: CheckEdge = tools.checkEdge
    const deadline = tools.clock.monotonic() + patienceMs + Math.max(0, ...checks.map((check) => check.timeoutMs))
    const verified = await verify(
      { checks, surroundings: { machine, edge }, clock: tools.clock, settleMs: 0, deadline },
      (event) => {
        if (event.kind === 'healthy') reasons.set(event.title, '')
        if (event.kind === 'unhealthy') reasons.set(event.title, event.reason)
      },
      tools.signal,
    )
    return {
      healthy: verified.healthy,
      checks: checks.map(({ title, severity }) => ({ title, severity, reason: reasons.get(title) ?? 'no answer yet' })),
    }
  })
}
