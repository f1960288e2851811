/** Who deploys, and identifiers that nobody can guess. */
import { randomBytes } from 'node:crypto'
import { hostname, userInfo } from 'node:os'

/** `user@machine`; the number of a user without an entry in passwd, as in a container. */
export function whoAmI(): string {
  return `${userName()}@${hostname()}`
}

export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}

export const nodeVersion: string = process.version

export const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex')
