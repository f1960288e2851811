/** A builder keeps sources in the home of the user who logs in. */
import { formatBytes } from '../../../format.ts'
import type { MachineFacts } from '../examine.ts'
import { bad, careful, type DoctorCheck, good } from '../finding.ts'

const scarce = 500e6

export const sourcesRoom: DoctorCheck<MachineFacts> = {
  about: 'sources',
  look({ unwritable, freeForSources, user }) {
    if (unwritable !== undefined) {
      return bad(`${user} cannot write to ${unwritable}, where sources are kept`, `make it ${user}'s own`)
    }
    if (freeForSources === undefined) return undefined
    const room = `${formatBytes(freeForSources)} free for sources`
    return freeForSources < scarce ? careful(room, 'make room in the home directory of the builder') : good(room)
  },
}
