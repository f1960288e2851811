import type { Host } from '../../../inventory/inventory.ts'
import { Problem } from '../../../problem.ts'
import { refuseUnsupported } from '../../supported.ts'
import { badProblem, type DoctorCheck } from '../finding.ts'

/** What hosts.yaml asks for and this version can't do. */
export const supported: DoctorCheck<{ host: Host }> = {
  about: 'hosts.yaml',
  look({ host }) {
    try {
      refuseUnsupported([host])
      return undefined
    } catch (error) {
      if (error instanceof Problem) return badProblem(error)
      throw error
    }
  },
}
