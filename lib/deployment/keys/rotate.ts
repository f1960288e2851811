import type { Host } from '../../inventory/inventory.ts'
import { tookOf } from '../../keys/account.ts'
import { findingsOf } from '../../keys/findings.ts'
import { askHost } from '../../keys/program.ts'
import { type AccountKey, commentFor, readKeys } from '../../keys/state.ts'
import { keyWords } from '../../nix/nixbuild.ts'
import type { Seen } from '../status.ts'
import type { Tools } from '../tools.ts'
import { ensure, happenedIn, isOurs, unasked } from './change.ts'
import { acceptanceOf, keyOn, keysOn } from './known-keys.ts'
import { loginsOf, type Patience, type Place, progress, visitAlone } from './place.ts'
import { type Happened, type KeysReport, reportOn, type Undone, type Verification } from './report.ts'
import { verifyAll } from './verify.ts'

export interface RotateOptions extends Patience {
  /** younger keys are left alone */
  readonly maxAgeMs: number | undefined
}

/** At any time there is a key that works; what was interrupted goes on. */
export const rotateKeys = (host: Host, options: RotateOptions, tools: Tools): Promise<Seen<KeysReport>> =>
  visitAlone(host, tools, 'rotate', async (place) => {
    const state = await readKeys(place.asking, { logins: loginsOf(place), hostKey: place.service.hostKey })
    const did: string[] = []
    const couldNot: Undone[] = []
    const verified: Verification[] = []
    // A token is changed where it comes from.
    for (const key of state.accounts.filter(({ kind }) => kind === 'key')) {
      if (key.rotating === undefined && isYoung(key, options.maxAgeMs, tools.clock.now().getTime())) continue
      const end = await rotateKey(place, key, options)
      did.push(...end.did)
      couldNot.push(...end.couldNot)
      verified.push(...end.verified)
    }
    return reportOn(place, { did, couldNot, verified })
  })

/** A key of unknown age is none. */
const isYoung = ({ made }: AccountKey, maxAgeMs: number | undefined, now: number) =>
  maxAgeMs !== undefined && made !== undefined && now - made < maxAgeMs

async function rotateKey(place: Place, key: AccountKey, patience: Patience): Promise<Required<Happened>> {
  const { host, tools, asking } = place
  const { account } = key
  const again = `deploy keys rotate ${host.name}`
  const did: string[] = []
  const stopped = (text: string, mend = again, verified: Verification[] = []): Required<Happened> => ({
    did,
    couldNot: [{ text: `${account}: ${text}`, mend }],
    verified,
  })
  if (key.form !== 'ok') {
    const why = findingsOf(host.name, key, place.service).find(({ code }) => code === key.form)
    return stopped(`there is no usable key to change: ${why?.text ?? key.form}`, why?.mend)
  }

  progress(place, `making a new key for ${account}`)
  const comment = commentFor(host.name, account, tools.clock.now())
  const made = happenedIn(await askHost(asking, 'make-next', account, comment), again)
  did.push(...made.did)
  if (made.couldNot.length > 0) return { did, couldNot: made.couldNot, verified: [] }

  const next = await keyOn(place, account, '.next')
  if (next === undefined && (await keyOn(place, account, '.old')) === undefined)
    return stopped('no new key could be made')
  if (next !== undefined) {
    const end = await ensure(place, 'add', next, patience)
    did.push(...end.did)
    if (end.couldNot.length > 0) return { did, couldNot: end.couldNot, verified: [] }
  }
  const swapped = happenedIn(await askHost(asking, 'swap', account), again)
  did.push(...swapped.did)
  if (swapped.couldNot.length > 0) return { did, couldNot: swapped.couldNot, verified: [] }

  // Beside the old one, which ssh would fall back to.
  const inPlace = await acceptanceOf(place, account)
  if (tookOf('add', inPlace.acceptance) === 'unknown')
    return { did, couldNot: [unasked(account, inPlace)], verified: [] }
  const isLetIn = inPlace.acceptance === 'yes'
  const verified = isLetIn ? await verifyAll(place, [key]) : []
  if (!isLetIn || !verified.every(({ works }) => works)) {
    const failed = 'the new key does not work where it is used'
    // It may be gone from the account already, when this goes on after an interruption.
    if ((await acceptanceOf(place, account, '.old')).acceptance !== 'yes') {
      const mend = isLetIn ? again : `deploy keys install ${host.name}`
      return stopped(`${failed}, and stays in its place: the old one was not seen to be let in`, mend, verified)
    }
    const back = happenedIn(await askHost(asking, 'swap-back', account), again)
    if (back.couldNot.length > 0) return { did, couldNot: back.couldNot, verified }
    return stopped(`${failed}: the old one is in its place again`, again, verified)
  }
  const all = await keysOn(place, account)
  const [inUse, old] = ['', '.old'].map((suffix) => all.find((one) => one.suffix === suffix))
  // A copy of the key in use, as of a home that was restored, stays in the account.
  const isAnother = old !== undefined && keyWords(old.publicKey)[1] !== keyWords(inUse?.publicKey ?? '')[1]
  const { did: removed, couldNot } = isAnother
    ? await ensure(place, 'remove', old, patience)
    : { did: [], couldNot: [] }
  did.push(...removed)
  // What others may use stays in the account, and is over and done with here.
  const isKept = couldNot.length > 0 && old !== undefined && !isOurs(place, old)
  if (couldNot.length > 0 && !isKept) return { did, couldNot, verified }
  const dropped = happenedIn(await askHost(asking, 'drop-old', account), again)
  if (dropped.couldNot.length > 0) return { did, couldNot: dropped.couldNot, verified }
  did.push(`${account}: the new key is in use${isKept ? '' : ', and the old one is refused'}`)
  return { did, couldNot, verified }
}
