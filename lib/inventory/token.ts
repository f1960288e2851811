/** What a host or a builder has at nixbuild.net, and where a token for it is. */
import { resolve as resolvePath } from 'node:path'
import type { Host, TokenSource } from './inventory.ts'
import type { RawToken } from './schema.ts'

/** Whether there are keys or a token to be looked after. */
export const hasLogins = ({ nixbuildKeys, nixbuildToken }: Host): boolean =>
  nixbuildKeys.length > 0 || nixbuildToken !== undefined

/** The variable that nixbuild.net's own action reads (github.com/nixbuild/nixbuild-action). */
export const tokenVariable = 'NIXBUILDNET_TOKEN'

/** `directory`: what files are relative to. undefined: it is not logged in with one. */
export function resolveToken(
  auth: 'token' | undefined,
  token: RawToken | undefined,
  directory: string,
): TokenSource | undefined {
  if (token?.file !== undefined) return { file: resolvePath(directory, token.file) }
  if (token?.env !== undefined) return { env: token.env }
  return auth && { env: tokenVariable }
}
