import { careful, type DoctorCheck } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

export const pendingReboot: DoctorCheck<HostSubject> = {
  about: 'reboot',
  look({ host, facts: { state } }) {
    if (state.notBooted.length === 0) return undefined
    return careful(
      `what runs has another ${state.notBooted.join(', ')} than what was booted`,
      `\`deploy ${host.name} --reboot\` reboots it, guarded`,
    )
  },
}
