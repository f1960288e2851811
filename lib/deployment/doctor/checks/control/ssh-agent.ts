/** An agent that is named and gone: a socket of a login that has ended, most of the time. */
import type { ControlSubject } from '../../control.ts'
import { careful, type DoctorCheck } from '../../finding.ts'

export const sshAgent: DoctorCheck<ControlSubject> = {
  about: 'ssh agent',
  look({ facts: { deadAgents } }) {
    if (deadAgents.length === 0) return undefined
    return careful(
      `no agent answers at ${deadAgents.join(', ')}`,
      'SSH_AUTH_SOCK or IdentityAgent names it: start the agent, or take the name away',
    )
  },
}
