import { standing as standingOf } from '../../status.ts'
import { careful, type DoctorCheck, good } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

/** Running system, profile and boot default. What locks and boot files have to do with it is told by their checks. */
export const standing: DoctorCheck<HostSubject> = {
  about: 'boot default',
  asRoot: true,
  look({ host, facts: { state } }) {
    const text = standingOf({ ...state, lock: undefined, damagedBootFiles: [] })
    const agrees = state.profile === state.running && state.boot === state.profile
    if (agrees || state.lock) return agrees ? good(text) : undefined
    return careful(text, `\`deploy ${host.name}\` makes the three agree; \`deploy status ${host.name}\` shows them`)
  },
}
