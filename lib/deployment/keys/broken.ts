/** For a deployment and for the doctor. */
import type { Host } from '../../inventory/inventory.ts'
import { hasLogins } from '../../inventory/key-hosts.ts'
import type { Finding } from '../../keys/findings.ts'
import type { Machine } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import type { Tools } from '../tools.ts'
import { serviceOf } from './place.ts'
import { reportOn } from './report.ts'

export interface Broken {
  /** `nixbuild.net key of root` */
  readonly whose: string
  readonly findings: readonly Finding[]
}

/** What an account's own files do to ssh holds up no deployment for long. */
const patienceMs = 60_000

/** What is wrong with the keys of a host, if there is something. The host asks the service. */
export async function brokenKeys(host: Host, tools: Tools, machine: Machine): Promise<readonly Broken[]> {
  const service = serviceOf(tools.keys.builders)
  const asking = { machine, program: await tools.keys.program(), signal: tools.signal, patienceMs }
  const { keys } = await reportOn({ host, tools, asking, service }, {})
  return keys.map(({ account, kind, findings }) => ({ whose: `nixbuild.net ${kind} of ${account}`, findings }))
}

/** A key that is broken stops no deployment, and is told. A service that doesn't answer breaks none. */
export async function warnOfKeys(host: Host, tools: Tools, machine: Machine): Promise<void> {
  if (!hasLogins(host)) return
  const warn = (text: string) => tools.report({ kind: 'warning', host: host.name, text })
  try {
    for (const { whose, findings } of await brokenKeys(host, tools, machine)) {
      const [first, ...more] = findings.filter(({ code }) => code !== 'unreachable')
      if (!first) continue
      const others = more.length > 0 ? ` (and ${more.length} more)` : ''
      warn(`${whose}: ${first.text}${others}: ${first.mend}`)
    }
  } catch (error) {
    if (!(error instanceof Problem) || tools.signal.aborted) throw error
    warn(`nixbuild.net keys: ${error.message}`)
  }
}
