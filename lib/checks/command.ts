/** A program succeeds on the host, run as the user that logs in. */
import type { Check } from './check.ts'
import { endOfProgram, unhealthy } from './health.ts'
import { checkOf, type SpecOf } from './spec.ts'

export function commandCheck(spec: SpecOf<'command'>): Check {
  const argv = [...timeLimit(spec.timeoutMs), ...spec.argv]
  return checkOf(spec, async ({ machine }, signal) => {
    const { code, stderr, stdout } = await machine.run({ argv }, { signal })
    // What timeout(1) exits with, of coreutils.
    if (code === 124 || code === 137) return unhealthy('took too long and was ended')
    if (code === 127) return unhealthy(`there is no program ${spec.argv[0]} on the host`)
    return endOfProgram(code, stderr.trim() || stdout)
  })
}

// Closing an SSH channel ends nothing on the other side: without this, every try that hangs would stay on the host.
const timeLimit = (milliseconds: number) => ['timeout', '--kill-after=1', String(milliseconds / 1000)]
