import { upgradesItself } from '../../preflight.ts'
import { careful, type DoctorCheck } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

export const upgradeTimer: DoctorCheck<HostSubject> = {
  about: 'upgrades',
  look: ({ facts: { state } }) => (state.upgradeTimer ? careful(upgradesItself.text, upgradesItself.hint) : undefined),
}
