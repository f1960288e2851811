import type { MachineFacts } from '../examine.ts'
import { bad, type DoctorCheck, good } from '../finding.ts'

export const store: DoctorCheck<MachineFacts> = {
  about: 'store',
  look({ tools, storeAnswers, user }) {
    if (!tools.has('nix')) return undefined
    if (storeAnswers) return good('the store answers')
    return bad(
      `the Nix store does not answer ${user}`,
      'is nix-daemon.socket active there, and is the user among `allowed-users` of nix.conf? Try `nix store info` there',
    )
  },
}
