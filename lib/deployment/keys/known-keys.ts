/** The keys that an account of a host has, and whether the service lets them in. */
import type { Acceptance } from '../../keys/findings.ts'
import { type ManagedLogin, wordFor } from '../../keys/login.ts'
import { askHost, factOf, factsOf } from '../../keys/program.ts'
import { keyWords } from '../../nix/nixbuild.ts'
import type { Place } from './place.ts'

export interface Key {
  readonly account: string
  readonly publicKey: string
  /** of its file: `.next` or `.old` in a rotation, `.unusable`, `.unusable.2`, … of those that were set aside */
  readonly suffix: string
}

/** Of all that an account has: in place, to come, gone, set aside. */
export async function keysOn({ asking }: Place, account: string): Promise<Key[]> {
  const answer = await askHost(asking, 'publics', account)
  return factsOf(answer.accounts.get(account) ?? [], 'public').map((text) => {
    const [, suffix = '', publicKey = ''] = /^(\S+) (.*)$/.exec(text) ?? []
    return { account, publicKey, suffix: suffix === '-' ? '' : suffix }
  })
}

export const keyOn = async (place: Place, account: string, suffix: string): Promise<Key | undefined> =>
  (await keysOn(place, account)).find((key) => key.suffix === suffix)

export interface Accepted {
  readonly acceptance: Acceptance
  readonly said: string
}

export async function acceptances(
  { asking, service }: Place,
  logins: readonly ManagedLogin[],
  suffix = '',
): Promise<Map<string, Accepted>> {
  const words = [String(service.port), ...keyWords(service.hostKey), suffix || '-', ...logins.map(wordFor)]
  const answer = await askHost(asking, 'acceptance', ...words)
  // They answer in any order.
  return new Map(
    logins.map(({ account }) => {
      const facts = answer.accounts.get(account) ?? []
      const [, word = 'unknown', said = ''] = /^(\S+) ?(.*)$/.exec(factOf(facts, 'accepted') ?? '') ?? []
      return [account, { acceptance: word as Acceptance, said }]
    }),
  )
}

/** Of a key. */
export const acceptanceOf = async (place: Place, account: string, suffix = ''): Promise<Accepted> =>
  (await acceptances(place, [{ account, kind: 'key' }], suffix)).get(account) ?? { acceptance: 'unknown', said: '' }
