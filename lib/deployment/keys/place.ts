/** A host whose keys are looked after: the login, and the service as the inventory has it. */
import { nixbuildAccount } from '../../builders/nixbuild.ts'
import type { Host, Inventory } from '../../inventory/inventory.ts'
import { signingKey } from '../../keys/account.ts'
import { managedLogins } from '../../keys/login.ts'
import { lockKeys } from '../../keys/lock.ts'
import type { Asking } from '../../keys/program.ts'
import { nixbuildHostKey } from '../../nix/nixbuild.ts'
import { type Seen, see } from '../status.ts'
import type { Tools } from '../tools.ts'

/** The service as the inventory has it. */
export function serviceOf(builders: Inventory['builders']) {
  const spec = nixbuildAccount(builders)
  return {
    port: Number(/:(\d+)\/?$/.exec(spec.destination)?.[1] ?? 22),
    hostKey: spec.hostKey ?? nixbuildHostKey.key,
    commands: spec.keyCommands,
  }
}

/** What the account's builds are signed with, where the service says it. */
export const signingKeyOf = ({ keys, signal }: Tools): Promise<string | undefined> =>
  signingKey({ login: keys.login, signal })

export interface Place {
  readonly host: Host
  readonly tools: Tools
  readonly asking: Asking
  readonly service: ReturnType<typeof serviceOf>
}

/** Logs in once and tells the story; a host without logins of its own has none. */
export function visit<T>(host: Host, tools: Tools, story: (place: Place) => Promise<T>): Promise<Seen<T>> {
  return see(host, tools, async (machine) => {
    const asking = { machine, program: await tools.keys.program(), signal: tools.signal }
    return story({ host, tools, asking, service: serviceOf(tools.keys.builders) })
  })
}

/** The same for what changes keys: one at a time on each host. */
export function visitAlone<T>(host: Host, tools: Tools, what: string, story: (place: Place) => Promise<T>) {
  return visit(host, tools, async (place) => {
    const who = `${tools.who} (deploy keys ${what}, since ${tools.clock.now().toISOString()})`
    const lock = await lockKeys(place.asking, who, tools.clock)
    const signal = AbortSignal.any([tools.signal, lock.lost])
    try {
      return await story({ ...place, tools: { ...tools, signal }, asking: { ...place.asking, signal } })
    } finally {
      await lock.release()
    }
  })
}

export const loginsOf = ({ host }: Place) => managedLogins(host)

/** What is being done, also for who only reads lines (-v). */
export function progress({ host, tools }: Place, text: string): void {
  tools.report({ kind: 'progress', host: host.name, stage: 'preflight', text })
  tools.report({ kind: 'log', host: host.name, stage: 'preflight', line: text })
}

export interface Patience {
  /** for somebody to paste a line by hand */
  readonly waitMs: number
}
