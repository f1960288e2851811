import { cannotBecomeRoot } from '../../../activation/host-state.ts'
import { badProblem, type DoctorCheck, good } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

/** Root's daemon accepts what is sent: nobody has to be among `trusted-users`, and nothing has to be signed. */
export const root: DoctorCheck<HostSubject> = {
  about: 'root',
  look({ host, facts: { state, user, elevationOutput } }) {
    if (!state.isRoot) return badProblem(cannotBecomeRoot(user, elevationOutput))
    return good(host.elevation === 'none' ? 'logs in as root' : `${user} becomes root (sudo: ${host.elevation})`)
  },
}
