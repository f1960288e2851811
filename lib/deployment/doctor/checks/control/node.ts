import type { ControlSubject } from '../../control.ts'
import { careful, type DoctorCheck, good } from '../../finding.ts'

/** As `engines` of package.json says it. */
export const supportedNode = '^20.19.0 || >=22.12.0'

export const isSupported = (version: string): boolean => {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
}

export const node: DoctorCheck<ControlSubject> = {
  about: 'Node',
  look({ facts: { nodeVersion } }) {
    if (isSupported(nodeVersion)) return good(`Node ${nodeVersion.replace(/^v/, '')}`)
    return careful(`Node ${nodeVersion.replace(/^v/, '')} is not tried with: ${supportedNode} is`, 'install Node 24')
  },
}
