/** Whether there is anything to log in with. The logins themselves decide: there are other ways than keys. */
import type { ControlSubject, KeyState } from '../../control.ts'
import { careful, type DoctorCheck, good } from '../../finding.ts'

const words: Readonly<Record<Exclude<KeyState, 'usable'>, string>> = {
  encrypted: 'is encrypted, and nobody is asked for its passphrase: give it to an agent, ssh-add',
  exposed: 'may be read by others, so ssh leaves it out: chmod 600',
  unreadable: 'may not be read by you',
  odd: 'is not understood by ssh-keygen',
}

export const sshKeys: DoctorCheck<ControlSubject> = {
  about: 'ssh keys',
  look({ facts: { agents, keys }, logsIn }) {
    if (!logsIn) return undefined
    const held = agents.reduce((sum, agent) => sum + agent.keys, 0)
    const usable = keys.filter(({ state }) => state === 'usable').map(({ file }) => file)
    const hints = keys.flatMap(({ file, state }) => (state === 'usable' ? [] : [`${file} ${words[state]}`]))
    if (held > 0 || usable.length > 0) {
      const ofAgents = held === 0 ? [] : [`${held} of ${agents.length === 1 ? 'an agent' : 'agents'}`]
      return good([...ofAgents, ...usable].join(', '))
    }
    return careful(
      'there is no key that can be used without a passphrase',
      ...(hints.length > 0 ? hints : ['make one, and add its public half to authorized_keys there: ssh-keygen']),
    )
  },
}
