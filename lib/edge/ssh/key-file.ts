/** What a private key file says without its passphrase. */

export interface KeyFile {
  readonly encrypted: boolean
  /** In SSH's wire format; only OpenSSH's own format carries it in the clear. */
  readonly publicKey: Buffer | undefined
}

const magic = Buffer.from('openssh-key-v1\0')

/** Reads OpenSSH's format (PROTOCOL.key) and the older PEM ones; undefined when it is no private key. */
export function parseKeyFile(text: string): KeyFile | undefined {
  const [, label, body] = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----([\s\S]*?)-----END/.exec(text) ?? []
  if (label === undefined || body === undefined) return undefined
  if (label !== 'OPENSSH PRIVATE KEY')
    return { encrypted: label.startsWith('ENCRYPTED') || body.includes('Proc-Type: 4,ENCRYPTED'), publicKey: undefined }
  const bytes = Buffer.from(body, 'base64')
  if (!bytes.subarray(0, magic.length).equals(magic)) return undefined
  const [cipher, afterCipher] = string(bytes, magic.length)
  const [, afterKdf] = string(bytes, afterCipher)
  const [, afterOptions] = string(bytes, afterKdf)
  const [publicKey] = string(bytes, afterOptions + 4)
  return { encrypted: cipher.toString() !== 'none', publicKey }
}

/** A public key as in `id_ed25519.pub` or known_hosts: type, base64, comment. */
export function parsePublicKey(line: string): Buffer | undefined {
  const body = /^\S+ ([A-Za-z0-9+/=]+)/.exec(line.trim())?.[1]
  return body === undefined ? undefined : Buffer.from(body, 'base64')
}

function string(bytes: Buffer, at: number): [content: Buffer, next: number] {
  if (at + 4 > bytes.length) return [Buffer.alloc(0), bytes.length]
  const next = at + 4 + bytes.readUInt32BE(at)
  return [bytes.subarray(at + 4, next), next]
}
