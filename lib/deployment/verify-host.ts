/** Verification of one host: a fresh login, the units, the health checks; then all of it for the settle time. */
import { watchUnits } from '../activation/unit-watch.ts'
import type { Watched } from '../checks/board.ts'
import type { VerifyEvent } from '../checks/board.ts'
import { checkFor } from '../checks/index.ts'
import { verify } from '../checks/verify.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { Session } from './session.ts'
import type { Tools } from './tools.ts'

export type VerifiedHost = (
  | { readonly healthy: true }
  /** one line for the outcome */
  | { readonly healthy: false; readonly reason: string }
) & {
  /** The fresh login, if there was one: later steps use it. */
  readonly login: Machine | undefined
}

/** The first pause between two logins, doubled after each: newer sshds lock out who fails to log in again and again. */
const firstPauseMs = 1_000
const longestPauseMs = 8_000

/** `deadline` is a time of the clock. An interruption counts as unhealthy: the host goes back. */
export async function verifyHost(
  place: { host: Host; session: Session; tools: Tools },
  { id, deadline }: { id: string; deadline: number },
): Promise<VerifiedHost> {
  const { host, session, tools } = place
  const { clock, report, signal } = tools
  let login: Machine | undefined
  let refusal = ''
  let pauseMs = firstPauseMs
  while (!login) {
    try {
      login = await session.freshLogin(signal)
    } catch (error) {
      if (signal.aborted) return { healthy: false, reason: 'interrupted', login }
      refusal = error instanceof Problem ? error.message : String(error)
      report({ kind: 'progress', host: host.name, stage: 'verify', text: `a fresh login fails: ${refusal}` })
      if (clock.monotonic() + pauseMs >= deadline) {
        return { healthy: false, reason: `a fresh login failed: ${refusal}`, login }
      }
      await clock.sleep(pauseMs, signal).catch(() => {})
      pauseMs = Math.min(2 * pauseMs, longestPauseMs)
    }
  }

  const stopWatching = new AbortController()
  const stop = () => stopWatching.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const verified = await verify(
      {
        checks: host.checks.map(checkFor),
        surroundings: { machine: login, edge: tools.checkEdge },
        clock,
        settleMs: host.activation.settleMs,
        deadline,
        watch: watched(login, tools, id, stopWatching.signal),
      },
      (event) => tell(host, event, tools),
      signal,
    )
    for (const text of verified.warnings) report({ kind: 'warning', host: host.name, text })
    return verified.healthy ? { healthy: true, login } : { healthy: false, reason: verified.reason, login }
  } catch (error) {
    if (signal.aborted) return { healthy: false, reason: 'interrupted', login }
    return { healthy: false, reason: error instanceof Error ? error.message : String(error), login }
  } finally {
    signal.removeEventListener('abort', stop)
    stopWatching.abort()
  }
}

async function* watched(machine: Machine, tools: Tools, id: string, signal: AbortSignal): AsyncGenerator<Watched> {
  for await (const problems of watchUnits({ machine, program: tools.program }, id, signal)) {
    if (problems === 'over') {
      yield { healthy: false, reason: 'the host was out of reach until it had gone back by itself', final: true }
      return
    }
    const [first] = problems
    if (first === undefined) yield { healthy: true }
    else {
      const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
      yield { healthy: false, reason: `${first.unit} ${first.why}${more}`, final: problems.some(({ final }) => final) }
    }
  }
}

function tell(host: Host, event: VerifyEvent, { report }: Tools): void {
  const text =
    event.kind === 'settling'
      ? `all healthy; must stay so for ${Math.round(event.milliseconds / 1000)} s`
      : event.kind === 'healthy'
        ? `${event.title}: healthy`
        : `${event.title}: ${event.reason}`
  report({ kind: event.kind === 'unhealthy' ? 'progress' : 'note', host: host.name, stage: 'verify', text })
}
