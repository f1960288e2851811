import type { ControlSubject } from '../../control.ts'
import { careful, type DoctorCheck, good } from '../../finding.ts'

export const knownHosts: DoctorCheck<ControlSubject> = {
  about: 'known_hosts',
  look({ facts: { knownHosts: files, unreadableKnownHosts: unreadable }, logsIn }) {
    if (!logsIn) return undefined
    if (unreadable.length > 0) return careful(`${unreadable.join(', ')} may not be read by you`, 'make it your own')
    const known = files.filter(({ lines }) => lines > 0)
    if (known.length > 0) return good(known.map(({ file, lines }) => `${lines} in ${file}`).join(', '))
    return careful('no host key is known', 'log in once with ssh, and compare the fingerprint that it shows')
  },
}
