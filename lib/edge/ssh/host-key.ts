/** The key by which a host proves who it is. */
import { createHash } from 'node:crypto'

/** The type that stands at the beginning of a public key in SSH's wire format (RFC 4253, section 6.6). */
export function keyType(key: Buffer): string {
  if (key.length < 4) return ''
  return key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1')
}

/** As `ssh-keygen -l` and `ssh` show it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** Signature algorithms that ssh2 verifies, by the type of the key, best first (RFC 8332 for RSA). */
const algorithmsOf: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'],
}

/**
 * What to ask the host for: the types that are known of it first, or a host of which only the RSA key is known
 * would show its Ed25519 key and look like another one.
 */
export function hostKeyAlgorithms(allowed: readonly string[], knownTypes: ReadonlySet<string>): string[] {
  const types = Object.keys(algorithmsOf)
  const ordered = [...types.filter((type) => knownTypes.has(type)), ...types.filter((type) => !knownTypes.has(type))]
  return ordered.flatMap((type) => algorithmsOf[type] ?? []).filter((algorithm) => allowed.includes(algorithm))
}
