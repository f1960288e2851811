import { formatDuration } from '../../../format.ts'
import type { MachineFacts } from '../examine.ts'
import { careful, type DoctorCheck, good } from '../finding.ts'

/** What a login and a shell may take is no skew: only what is certain counts. */
const tolerated = 30

export const clock: DoctorCheck<MachineFacts> = {
  about: 'clock',
  look({ clockAhead: { least, most } }) {
    const certain = least > 0 ? least : most < 0 ? most : 0
    if (Math.abs(certain) <= tolerated) return good('agrees with the clock here')
    const by = formatDuration(Math.abs(certain) * 1000)
    return careful(
      `its clock is ${by} ${certain > 0 ? 'ahead of' : 'behind'} the one here`,
      'look at both with `timedatectl`: services.timesyncd.enable, and a way to a time server',
      'until then the ages of generations, locks and logs are wrong, and certificates may be refused',
    )
  },
}
