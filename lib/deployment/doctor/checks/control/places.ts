/** Where this machine writes: temporary files, and inputs that it fetches. */
import type { ControlSubject } from '../../control.ts'
import { bad, type DoctorCheck, good } from '../../finding.ts'

export const places: DoctorCheck<ControlSubject> = {
  about: 'files',
  look({ facts: { temporary, unwritable }, fetchesInputs }) {
    if (!temporary) return bad('temporary files cannot be made', 'look at TMPDIR, and for a full disk')
    if (fetchesInputs && unwritable !== undefined) {
      return bad(`${unwritable} cannot be written to, where fetched inputs are kept`, 'make it your own')
    }
    return good('temporary files can be made')
  },
}
