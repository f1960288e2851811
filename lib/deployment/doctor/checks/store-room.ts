import { formatBytes } from '../../../format.ts'
import type { MachineFacts } from '../examine.ts'
import { bad, careful, type DoctorCheck, good } from '../finding.ts'

/** Less than a kernel and its modules is refused by most deployments; an update of everything is about as much as a gigabyte. */
const [none, scarce] = [200e6, 1e9]
const [noInodes, fewInodes] = [2_000, 50_000]

export const storeRoom = (hint: string): DoctorCheck<MachineFacts> => ({
  about: 'disk',
  look({ freeInStore, freeInodes }) {
    if (freeInStore === undefined) return undefined
    const inodes = freeInodes ?? Number.POSITIVE_INFINITY
    const fewFiles = inodes < fewInodes ? `, and room for ${inodes} more files` : ''
    const room = `${formatBytes(freeInStore)} free in /nix/store${fewFiles}`
    if (freeInStore < none || inodes < noInodes) return bad(room, hint)
    return freeInStore < scarce || fewFiles ? careful(room, hint) : good(room)
  },
})
