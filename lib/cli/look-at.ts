/** One question to each host, all at once. */
import type { Seen } from '../deployment/status.ts'
import type { Tools } from '../deployment/tools.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Found } from './conclude.ts'

export function lookAt<T>(
  hosts: readonly Host[],
  tools: Tools,
  question: (host: Host, tools: Tools) => Promise<Seen<T>>,
): Promise<Found<T>[]> {
  return Promise.all(
    hosts.map(async (host) => {
      tools.report({ kind: 'progress', host: host.name, stage: 'preflight', text: 'logging in' })
      const { seen } = await question(host, tools)
      tools.report({ kind: 'done', host: host.name })
      return { host: host.name, result: seen }
    }),
  )
}
