/** The two answers of a check. */
import type { Health } from './check.ts'

export const healthy: Health = { healthy: true }

/** The reason is one line, lower case, no full stop. */
export const unhealthy = (reason: string): Health => ({ healthy: false, reason })

/** How a program ended, and the last line it wrote: usually the one that says why. */
export function endOfProgram(code: number | null, output: string): Health {
  if (code === 0) return healthy
  const said = output.trimEnd().split('\n').at(-1)?.trim().slice(0, 160) ?? ''
  return unhealthy(`${code === null ? 'was killed' : `exited with ${code}`}${said && `: ${said}`}`)
}
