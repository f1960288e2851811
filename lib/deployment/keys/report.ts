/** What is told of the keys of a host. */

import type { Host } from '../../inventory/inventory.ts'
import { type Acceptance, acceptanceFinding, daemonFindings, type Finding, findingsOf } from '../../keys/findings.ts'
import { managedLogins } from '../../keys/login.ts'
import { type AccountKey, isUsedByDaemon, type KeyHost, readKeys } from '../../keys/state.ts'
import type { OutcomeKind } from '../outcome.ts'
import type { Seen } from '../status.ts'
import type { Tools } from '../tools.ts'
import { type Accepted, acceptances } from './known-keys.ts'
import { loginsOf, type Place, visit } from './place.ts'

export interface ManagedKey extends AccountKey {
  readonly usedByDaemon: boolean
  readonly acceptance: Acceptance
  readonly findings: readonly Finding[]
}

/** One use of a key, tried as the one who will use it. */
export interface Verification {
  readonly account: string
  /** build: the daemon's hook builds something tiny there; store: `nix store info` as that user */
  readonly way: 'build' | 'store' | 'local-rebuild'
  readonly works: boolean
  /** false: the daemon has no builder there, and was given one for this */
  readonly isConfigured: boolean
  /** where it was built */
  readonly on: string | undefined
  /** the end of what Nix said */
  readonly said: string
}

export interface KeysReport {
  readonly keys: readonly ManagedKey[]
  readonly machine: Omit<KeyHost, 'accounts'>
  /** what was changed, one line each */
  readonly did: readonly string[]
  /** what could not be, with what to do */
  readonly couldNot: readonly Undone[]
  readonly verified: readonly Verification[]
}

export interface Undone {
  readonly text: string
  readonly mend: string
}

/** What it counts as for the exit code, when it is no success. */
export const keysCountAs = ({ keys, couldNot, verified }: KeysReport): OutcomeKind | undefined =>
  couldNot.length > 0 || keys.some(({ findings }) => findings.length > 0) || verified.some(({ works }) => !works)
    ? 'untouched'
    : undefined

/** What the host has, without asking the service. Of no accounts in particular, for hosts that manage none. */
export const lookAtKeys = (host: Host, tools: Tools): Promise<Seen<KeyHost>> =>
  visit(host, tools, ({ asking, service }) => {
    const own = asking.machine.user === 'root' ? [] : [asking.machine.user]
    const notManaged = host.nixbuildToken === undefined ? ['root', ...own] : own
    const logins = managedLogins(host.nixbuildKeys.length > 0 ? host : { ...host, nixbuildKeys: notManaged })
    return readKeys(asking, { logins, hostKey: service.hostKey })
  })

/** The same, and root as well, whose ssh is the daemon's, managed or not. */
export const lookAtDaemonsToo = (host: Host, tools: Tools): Promise<Seen<KeyHost>> => {
  const isTold =
    host.nixbuildToken !== undefined || host.nixbuildKeys.length === 0 || host.nixbuildKeys.includes('root')
  return lookAtKeys(isTold ? host : { ...host, nixbuildKeys: [...host.nixbuildKeys, 'root'] }, tools)
}

export const keysOf = (host: Host, tools: Tools): Promise<Seen<KeysReport>> =>
  visit(host, tools, (place) => reportOn(place, {}))

export type Happened = Partial<Pick<KeysReport, 'did' | 'couldNot' | 'verified'>>

/** `accepted`: what the service is known to accept by now; it is asked otherwise. */
export async function reportOn(
  place: Place,
  { did = [], couldNot = [], verified = [] }: Happened,
  known?: ReadonlyMap<string, Accepted>,
): Promise<KeysReport> {
  const { host, asking, service } = place
  const [state, accepted] = await Promise.all([
    readKeys(asking, { logins: loginsOf(place), hostKey: service.hostKey }),
    known ?? acceptances(place, loginsOf(place)),
  ])
  const keys = state.accounts.map((key): ManagedKey => {
    const answer = accepted.get(key.account) ?? { acceptance: 'unknown', said: '' }
    const wasAccepted = key.wasAccepted || answer.acceptance === 'yes'
    const own = [...findingsOf(host.name, key, service), ...daemonFindings(host.name, state, key, service)]
    // A key that ssh passes over is refused as well.
    const isUsable = own.every(({ code }) => !['owner', 'mode', key.form].includes(code))
    const findings = [...own, ...(isUsable ? acceptanceFinding(host.name, key, answer) : [])]
    return { ...key, wasAccepted, usedByDaemon: isUsedByDaemon(state, key), acceptance: answer.acceptance, findings }
  })
  const { accounts: _, ...rest } = state
  return { keys, machine: rest, did, couldNot, verified }
}
