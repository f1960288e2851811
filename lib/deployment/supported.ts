/** What hosts.yaml can say and this version can't do is refused before anything is done. */
import { copyStrategy } from '../copy/index.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'

/** Throws a Problem of kind `usage` that names the host. */
export function refuseUnsupported(hosts: readonly Host[]): void {
  for (const host of hosts) {
    try {
      copyStrategy(host.copy.via)
    } catch (error) {
      throw error instanceof Problem ? error.at({ host: host.name }) : error
    }
  }
}
