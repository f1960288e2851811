/** What is changed: on the host by its program, in the account at the service. */
import { changeAccount, commandFor, tookOf, within } from '../../keys/account.ts'
import { type Answer, factsOf } from '../../keys/program.ts'
import { keyOwner } from '../../keys/state.ts'
import { nixbuildHost } from '../../nix/nixbuild.ts'
import { type Accepted, acceptanceOf, type Key } from './known-keys.ts'
import { type Patience, type Place, progress } from './place.ts'
import type { Undone } from './report.ts'

/** What the host program says that it did, and what not. */
export const happenedIn = (answer: Answer, mend: string) => ({
  did: factsOf(answer.machine, 'did'),
  couldNot: factsOf(answer.machine, 'could-not').map((text) => ({ text, mend })),
})

/** Has the account add or remove a key; if it takes no line of ours, somebody else types it. */
export async function change(place: Place, what: 'add' | 'remove', key: Key, { waitMs }: Patience) {
  const { host, tools, service } = place
  const line = commandFor(service.commands[what], key.publicKey)
  const took = async () => tookOf(what, (await acceptanceOf(place, key.account, key.suffix)).acceptance)
  const past = what === 'add' ? 'registered with' : 'removed from'
  progress(place, `the key of ${key.account} is being ${past} the account`)
  const access = { login: tools.keys.login, clock: tools.clock, signal: tools.signal }
  const changed = await changeAccount(line, access, took)
  if (changed.kind === 'done') {
    return { did: [`${key.account}: key ${past} the account (${changed.way})`], couldNot: [] }
  }
  const mend = `with a key that the account has: ssh ${nixbuildHost} shell, then: ${line}`
  if (waitMs > 0) {
    tools.report({ kind: 'warning', host: host.name, text: `waiting until it is done ${mend}` })
    if ((await within(waitMs, access, took)) === 'yes')
      return { did: [`${key.account}: key ${past} the account (by hand)`], couldNot: [] }
  }
  const text = `${key.account}: the key could not be ${past} the account (${changed.said.join('; ')})`
  return { did: [], couldNot: [{ text, mend }] }
}

/** The same, unless the key is there or gone already. What can't be asked is left alone. */
export async function ensure(place: Place, what: 'add' | 'remove', key: Key, patience: Patience) {
  const before = await acceptanceOf(place, key.account, key.suffix)
  const took = tookOf(what, before.acceptance)
  if (took === 'yes') return { did: [], couldNot: [] }
  if (took === 'unknown') return { did: [], couldNot: [unasked(key.account, before)] }
  if (what === 'remove' && !isOurs(place, key)) return { did: [], couldNot: [kept(place, key)] }
  return change(place, what, key, patience)
}

/**
 * Of a key that is to be removed from the account: whether it was made for this host and nobody else. Others may use what
 * was brought there, as somebody's own key or another host's; taking it away would lock them out.
 */
export const isOurs = ({ host }: Place, { account, publicKey }: Key): boolean =>
  (publicKey.split(' ')[2] ?? '').startsWith(`${keyOwner(host.name, account)}:`)

const kept = ({ service }: Place, { account, publicKey }: Key): Undone => ({
  text: `${account}: the account keeps the key "${publicKey.split(' ').slice(2).join(' ')}": it was not made for this host, and others may use it`,
  mend: `to have it removed: ssh ${nixbuildHost} shell, then: ${commandFor(service.commands.remove, publicKey)}`,
})

export const unasked = (account: string, { said }: Accepted): Undone => ({
  text: `${account}: whether the service knows the key could not be asked: ${said || 'no answer'}`,
  mend: 'the key was left as it is: try once more when the service can be reached from there',
})
