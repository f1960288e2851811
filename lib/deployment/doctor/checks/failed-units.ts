import { formatDuration } from '../../../format.ts'
import { careful, type DoctorCheck, good } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

const shown = 5

/** Such a unit is not held against a new system; so a deployment can't tell whether it is worse off. */
export const failedUnits: DoctorCheck<HostSubject> = {
  about: 'units',
  look({ host, facts: { failedUnits } }) {
    const [first] = failedUnits
    if (!first) return good('none has failed')
    const named = failedUnits
      .slice(0, shown)
      .map(({ unit, seconds }) => `${unit} (${formatDuration(seconds * 1000)} ago)`)
    const more = failedUnits.length > shown ? ` and ${failedUnits.length - shown} more` : ''
    return careful(
      `failed: ${named.join(', ')}${more}`,
      `look at it: ssh ${host.destination} systemctl status ${first.unit}; a deployment does not judge units that failed before it`,
    )
  },
}
