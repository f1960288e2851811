/** From the builder to the host through this machine. */
import { formatBytes } from '../format.ts'
import { transfer } from '../nix/transfer.ts'
import { Problem } from '../problem.ts'
import type { CopyRequest, CopyStrategy } from './copy.ts'

/** Closes both stores when it fails or is aborted. */
export const relay: CopyStrategy = (request) =>
  transfer({
    ...request,
    from: { store: request.from, name: "the builder's store" },
    to: { store: request.to, name: "the host's store" },
    whenUntrusted: 'the host takes only signed paths from this login: deploy as root or with sudo',
    async admit(bytes, hasFetched) {
      const freeBytes = (hasFetched ? await request.freeBytesNow() : request.freeBytes) ?? Number.POSITIVE_INFINITY
      if (bytes > freeBytes) throw await noRoom(request, freeBytes, bytes)
    },
  })

async function noRoom({ whatToFree }: CopyRequest, freeBytes: number, needed: number): Promise<Problem> {
  const missing = formatBytes(needed - freeBytes)
  const room = `the host lacks ${formatBytes(needed)}, and has room for ${formatBytes(freeBytes)}`
  return new Problem(`${room}: ${missing} are missing`, { hints: whatToFree ? [await whatToFree()] : [] })
}
