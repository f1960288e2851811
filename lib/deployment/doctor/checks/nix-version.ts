import type { MachineFacts } from '../examine.ts'
import { bad, careful, type DoctorCheck, type Found, good } from '../finding.ts'

/** Evaluation needs flakes as they are since 2.8; copying to a host needs a daemon of protocol 1.34, which 2.8 speaks. */
const oldest = [2, 8] as const
/** Lix counts on from Nix 2.18 with 2.90, and speaks its protocol. */
const older = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1])
}

function judged(version: string, tooOld: (text: string, ...hints: string[]) => Found): Found | undefined {
  if (version === '') return undefined
  if (!older(version)) return good(`Nix ${version}`)
  return tooOld(`its Nix is ${version}, and ${oldest.join('.')} is the oldest that is tried`, 'bring it up to date')
}

/** A builder with an older one can't evaluate. */
export const evaluatorVersion: DoctorCheck<MachineFacts> = {
  about: 'Nix',
  look: ({ nixVersion }) => judged(nixVersion, bad),
}

/** A host with an older one may still do. */
export const hostVersion: DoctorCheck<MachineFacts> = {
  about: 'Nix',
  look: ({ nixVersion }) => judged(nixVersion, careful),
}
