/** A program succeeds on the control machine. */
import type { Check } from './check.ts'
import { endOfProgram } from './health.ts'
import { checkOf, type SpecOf } from './spec.ts'

export function localCheck(spec: SpecOf<'local'>): Check {
  return checkOf(spec, async ({ edge }, signal) => {
    const { code, output } = await edge.runLocal(spec.argv, signal)
    return endOfProgram(code, output)
  })
}
