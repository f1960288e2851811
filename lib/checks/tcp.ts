/** A port accepts connections, seen from the control machine. */
import type { Check } from './check.ts'
import { healthy } from './health.ts'
import { checkOf, type SpecOf } from './spec.ts'

export function tcpCheck(spec: SpecOf<'tcp'>): Check {
  return checkOf(spec, async ({ edge, machine }, signal) => {
    await edge.tcpConnect({ host: spec.host ?? machine.address, port: spec.port }, signal)
    return healthy
  })
}
