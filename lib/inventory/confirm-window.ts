/** How long a confirmation takes at least, so that a host never rolls back a system that had no time to be confirmed. */

import { showDuration } from './duration.ts'
import { checkTitle } from './health-checks.ts'
import type { Host } from './inventory.ts'

/** What the window allows for the fresh login that verification makes, on a slow host over a slow link. */
export const loginAllowanceMs = 10_000
/** What it keeps free at its end for telling the host that it is confirmed. */
export const confirmAllowanceMs = 3_000

/** Undefined when `confirmWithin` holds login, checks, settle time and the checks after it; else the arithmetic. */
export function confirmWindowMistake(host: Host): string | undefined {
  const { confirmWithinMs, settleMs } = host.activation
  const required = host.checks.filter((check) => check.severity === 'required')
  const slowest = required.reduce<(typeof required)[number] | undefined>(
    (slow, check) => (slow && slow.timeoutMs >= check.timeoutMs ? slow : check),
    undefined,
  )
  const checkMs = slowest?.timeoutMs ?? 0
  // Everything is asked once more when the settle time is over.
  const lastMs = settleMs > 0 ? checkMs : 0
  const neededMs = loginAllowanceMs + checkMs + settleMs + lastMs + confirmAllowanceMs
  if (neededMs <= confirmWithinMs) return undefined
  const parts = [`a login (${showDuration(loginAllowanceMs)})`]
  if (slowest) parts.push(`the slowest check (${showDuration(checkMs)}, ${checkTitle(slowest)})`)
  if (settleMs > 0) parts.push(`settle (${showDuration(settleMs)})`)
  if (lastMs > 0) parts.push(`the check once more (${showDuration(lastMs)})`)
  parts.push(`the confirmation (${showDuration(confirmAllowanceMs)})`)
  const within = showDuration(confirmWithinMs)
  return `confirmWithin ${within} is too short: ${parts.join(' + ')} take up to ${showDuration(neededMs)}`
}
