/** Whether a host is the one it says it is. Nobody is asked: a key that isn't known is refused, or accepted by configuration. */
import type { PinnedKey } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import { BeyondSsh2 } from './beyond-ssh2.ts'
import type { HostConfig } from './host-config.ts'
import { fingerprint, keyType } from './host-key.ts'
import { parsePublicKey } from './key-file.ts'
import type { KnownHost, KnownKey } from './known-hosts.ts'

/** `new`: not known, and the configuration says to accept it. */
export type Verdict = 'known' | 'new'

/** Throws the Problem that refuses the key, or `BeyondSsh2` when a certificate could still prove the host. */
export function judge(offered: Buffer, host: KnownHost, config: HostConfig): Verdict {
  const same = (known: KnownKey) => known.key.equals(offered)
  const revoked = [...host.keys, ...host.elsewhere].find((known) => known.marker === 'revoked' && same(known))
  if (revoked) throw revokedKey(offered, host, revoked)
  const plain = host.keys.filter((known) => known.marker === undefined)
  if (plain.some(same)) return 'known'
  if (host.keys.some((known) => known.marker === 'cert-authority'))
    throw new BeyondSsh2(`${host.name} is known by a certificate authority`)
  // OpenSSH takes another type of key for a new one and not for a changed one. That is what an impostor would offer.
  if (host.pinned) throw otherThanPinned(host.name, shown(offered), host.pinned)
  if (plain.length > 0) throw changedKey(offered, host, plain)
  if (host.elsewhere.some((known) => known.marker === undefined && same(known))) return 'known'
  const checking = config.one('stricthostkeychecking') ?? 'ask'
  if (['accept-new', 'no', 'off', 'false'].includes(checking)) return 'new'
  throw unknownKey(offered, host, config)
}

const shown = (key: Buffer) => `${keyType(key)} ${fingerprint(key)}`
const place = (known: KnownKey) => `${known.file}:${known.line}`

function changedKey(offered: Buffer, host: KnownHost, known: readonly KnownKey[]): Problem {
  const files = [...new Set(known.map((one) => one.file))]
  const lines = known.map((one) => `known:   ${shown(one.key)} in ${place(one)}`)
  return new Problem(`the host key of ${host.name} has changed; somebody may be in between`, {
    detail: [`offered: ${shown(offered)}`, ...lines].join('\n'),
    hints: [
      'if the machine was installed anew, compare the fingerprint offered with the one its console shows: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub',
      ...files.map((file) => `then forget the old key: ssh-keygen -R '${host.name}' -f '${file}'`),
    ],
  })
}

/** `offered`: a fingerprint, with the type of the key where that is known. */
export function otherThanPinned(name: string, offered: string, { key, from }: PinnedKey): Problem {
  const pinned = parsePublicKey(key) ?? Buffer.alloc(0)
  return new Problem(`${name} has another host key than the pinned one; somebody may be in between`, {
    detail: [`offered: ${offered}`, `pinned:  ${shown(pinned)} (${from})`].join('\n'),
    hints: [
      'if those who run it say that they have changed it, pin the new one: hostKey of the builder, in hosts.yaml',
    ],
  })
}

function revokedKey(offered: Buffer, host: KnownHost, known: KnownKey): Problem {
  return new Problem(`the host key of ${host.name} is revoked in ${place(known)}`, {
    detail: `offered: ${shown(offered)}`,
    hints: ['the machine needs new host keys, or somebody uses stolen ones'],
  })
}

function unknownKey(offered: Buffer, host: KnownHost, config: HostConfig): Problem {
  return new Problem(`the host key of ${host.name} is not known`, {
    detail: `offered: ${shown(offered)}`,
    hints: [
      `log in once and compare the fingerprint: ssh ${config.typed} true`,
      `or accept whatever comes first, in your ssh configuration: Host ${config.original}, StrictHostKeyChecking accept-new`,
    ],
  })
}
