import { namedFiles } from '../../boot-files.ts'
import { careful, type DoctorCheck } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

export const bootFiles: DoctorCheck<HostSubject> = {
  about: 'boot files',
  asRoot: true,
  look({ facts: { state } }) {
    if (state.damagedBootFiles.length === 0) return undefined
    return careful(
      `the next boot would fail: ${namedFiles(state.damagedBootFiles)} is damaged`,
      'do not restart the host: any deployment rewrites it first, even one that changes nothing else',
    )
  },
}
