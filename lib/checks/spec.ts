/** From an entry of `checks` to a check: what every kind has in common. */
import { checkTitle } from '../inventory/health-checks.ts'
import type { CheckSpec } from '../inventory/inventory.ts'
import type { Check } from './check.ts'

export type SpecOf<Kind extends CheckSpec['kind']> = Extract<CheckSpec, { kind: Kind }>

export const checkOf = (spec: CheckSpec, run: Check['run']): Check => ({
  title: checkTitle(spec),
  severity: spec.severity,
  timeoutMs: spec.timeoutMs,
  intervalMs: spec.intervalMs,
  run,
})
