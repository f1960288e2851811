/** Which algorithms are offered to a host. */
import type { HostConfig } from './host-config.ts'
import { hostKeyAlgorithms, keyType } from './host-key.ts'
import type { KnownHost } from './known-hosts.ts'
import type { ConnectConfig } from './ssh2.ts'

/** What the user's configuration allows, in ssh2's order, which puts the fast ciphers first. */
export function algorithms(config: HostConfig, host: KnownHost): ConnectConfig['algorithms'] {
  const only = (keyword: string) => {
    const allowed = config.list(keyword).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    return { remove: allowed.length === 0 ? [] : [new RegExp(`^(?!(?:${allowed.join('|')})$)`)] }
  }
  const plain = host.keys.filter((known) => known.marker === undefined)
  return {
    kex: only('kexalgorithms'),
    cipher: only('ciphers'),
    hmac: only('macs'),
    serverHostKey: hostKeyAlgorithms(config.list('hostkeyalgorithms'), new Set(plain.map((one) => keyType(one.key)))),
  } as unknown as ConnectConfig['algorithms']
}
