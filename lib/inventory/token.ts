/** Where a token for nixbuild.net is. */
import { resolve as resolvePath } from 'node:path'
import type { TokenSource } from './inventory.ts'

/** The variable that nixbuild.net's own action reads (github.com/nixbuild/nixbuild-action). */
export const tokenVariable = 'NIXBUILDNET_TOKEN'

/** `directory`: what files are relative to. undefined: it is not logged in with one. */
export function resolveToken(
  auth: 'token' | undefined,
  token: { readonly env?: string | undefined; readonly file?: string | undefined } | undefined,
  directory: string,
): TokenSource | undefined {
  if (token?.file !== undefined) return { file: resolvePath(directory, token.file) }
  if (token?.env !== undefined) return { env: token.env }
  return auth && { env: tokenVariable }
}
