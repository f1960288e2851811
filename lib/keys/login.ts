/** How accounts of a host log in to nixbuild.net. */
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'

export interface ManagedLogin {
  readonly account: string
  readonly kind: 'key' | 'token'
}

/** A token is root's: the daemon is root, and a user's token would have to lie where the user can read it. */
export const managedLogins = ({
  nixbuildKeys,
  nixbuildToken,
}: Pick<Host, 'nixbuildKeys' | 'nixbuildToken'>): ManagedLogin[] => [
  ...(nixbuildToken === undefined ? [] : [{ account: 'root', kind: 'token' as const }]),
  ...nixbuildKeys.map((account) => ({ account, kind: 'key' as const })),
]

/** lib/keys/host/10-environment.sh: in a directory that only root can enter. */
export const tokenFile = '/run/deploy-keys/token'

/** As the program for hosts takes them. */
export const wordFor = ({ account, kind }: ManagedLogin): string => (kind === 'token' ? `${account}=token` : account)

/** It becomes a word of an SSH configuration. Throws a Problem, which doesn't say what the token is. */
export function checkedToken(token: string): string {
  if (/^[A-Za-z0-9_+/=.:-]+$/.test(token)) return token
  throw new Problem('the token has characters that no token of nixbuild.net has', {
    kind: 'usage',
    hints: ['it is one word of letters, digits and _ - + / = . : without quotes or line ends in it'],
  })
}
