/** What this machine needs beside Node: OpenSSH's client, and whatever reads the flake. */
import type { ControlSubject } from '../../control.ts'
import { bad, type DoctorCheck, good } from '../../finding.ts'

export const controlPrograms: DoctorCheck<ControlSubject> = {
  about: 'programs',
  look({ facts: { tools, sshVersion, gitVersion, inGit }, fetchesInputs }) {
    const client = ['ssh', 'ssh-keygen', 'ssh-add'].filter((name) => !tools.has(name))
    if (client.length > 0) return bad(`this machine has no ${client.join(', ')}`, "install OpenSSH's client here")
    if ((inGit || fetchesInputs) && !tools.has('git')) {
      const what = inGit ? 'the flake is in a git repository' : 'inputs are to be fetched here'
      return bad(`${what}, and there is no git on this machine`, 'install git here')
    }
    if (!inGit && !tools.has('tar')) return bad('this machine has no tar, which sends directories', 'install tar here')
    return good([sshVersion, gitVersion && `git ${gitVersion}`].filter(Boolean).join(', '))
  },
}
