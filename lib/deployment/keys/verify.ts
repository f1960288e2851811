import type { Host } from '../../inventory/inventory.ts'
import { type ManagedLogin, wordFor } from '../../keys/login.ts'
import { askHost, factOf, factsOf } from '../../keys/program.ts'
import { isDaemons, readKeys } from '../../keys/state.ts'
import { nixbuildHost } from '../../nix/nixbuild.ts'
import type { Seen } from '../status.ts'
import type { Tools } from '../tools.ts'
import { loginsOf, type Place, progress, visit } from './place.ts'
import { type KeysReport, reportOn, type Verification } from './report.ts'

/** Each key as the one who uses it: root's through the daemon's build hook, a user's as that user. */
export const verifyKeys = (
  host: Host,
  { localRebuild }: { localRebuild: boolean },
  tools: Tools,
): Promise<Seen<KeysReport>> =>
  visit(host, tools, async (place) => {
    const verified = await verifyAll(place, loginsOf(place))
    if (localRebuild) {
      const user = host.nixbuildKeys.find((account) => account !== 'root') ?? 'root'
      verified.push(...(await verifyWays(place, [`${user}=local-rebuild`])))
    }
    const report = await reportOn(place, { verified })
    return { ...report, verified: verified.map((one) => (isElsewhere(one, report) ? { ...one, works: false } : one)) }
  })

/** Built, but by a builder that isn't the service. */
const isElsewhere = ({ way, on = '' }: Verification, { machine }: KeysReport) =>
  way === 'local-rebuild' && !on.includes(nixbuildHost) && !machine.builders.some(({ uri }) => uri === on)

/** A user's key that the daemon is given is the daemon's as well. */
export async function verifyAll(place: Place, logins: readonly ManagedLogin[]): Promise<Verification[]> {
  const state = await readKeys(place.asking, { logins, hostKey: place.service.hostKey })
  const root = loginsOf(place).find(({ account }) => account === 'root')
  const rootsLogin = root === undefined ? 'root' : wordFor(root)
  const ways = state.accounts.flatMap((key) => [
    ...(key.account === 'root' ? [] : [`${key.account}=store`]),
    ...(key.account === 'root' || isDaemons(state, key) ? [`${rootsLogin}=build`] : []),
  ])
  return verifyWays(place, [...new Set(ways)])
}

async function verifyWays(place: Place, ways: readonly string[]): Promise<Verification[]> {
  progress(place, 'trying the keys')
  const answer = await askHost(place.asking, 'verify', ...ways)
  return [...answer.accounts].flatMap(([account, facts]) => {
    const way = factOf(facts, 'way') as Verification['way'] | undefined
    if (way === undefined) return []
    return {
      account,
      way,
      works: factOf(facts, 'works') === 'yes',
      isConfigured: factOf(facts, 'configured') !== 'no',
      on: factOf(facts, 'on'),
      said: factsOf(facts, 'said').join('\n'),
    }
  })
}
