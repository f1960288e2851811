/** Proving who we are: with keys only, and never by asking anybody for anything. */
import { agentWith } from './agent.ts'
import { BeyondSsh2 } from './beyond-ssh2.ts'
import type { HostConfig } from './host-config.ts'
import type { Identities } from './identities.ts'
import type { NextAuthHandler, Ssh2 } from './ssh2.ts'
import { notLetIn } from './unreachable.ts'

/** The keys one after the other. `none` goes first, as in OpenSSH: the answer says what the host accepts at all. */
export function authentication(ssh2: Ssh2, config: HostConfig, keys: Identities) {
  const username = config.user
  const { agentSocket: socket, agentKeys, files } = keys
  const methods = [
    { type: 'none', username },
    ...(socket !== undefined && agentKeys.length > 0
      ? [{ type: 'agent', username, agent: agentWith(ssh2, socket, agentKeys) }]
      : []),
    ...files.map((one) => ({ type: 'publickey', username, key: one.privateKey })),
  ]
  let offers: readonly string[] = []
  let done = false
  let begun = false
  let said = ''
  return {
    next: (left: readonly string[] | null, _partial: boolean | null, next: NextAuthHandler) => {
      begun = true
      offers = left ?? offers
      const method = left === null || left.includes('publickey') ? methods.shift() : undefined
      done = method === undefined
      // ssh2 takes `false` for the end of the list; its types don't say so.
      next((method ?? false) as Parameters<NextAuthHandler>[0])
    },
    exhausted: () => done,
    /** The host ended the connection in the middle of it ("Too many authentication failures"). */
    disconnected: (error: Error & { code?: unknown }) => {
      const by = begun && typeof error.code === 'number'
      if (by) said = error.message
      return by
    },
    failure: (): Error => {
      if (keys.beyond.length > 0) return new BeyondSsh2(`keys that are left: ${keys.beyond.join(', ')}`)
      if (offers.includes('gssapi-with-mic') && config.on('gssapiauthentication')) return new BeyondSsh2('GSSAPI')
      return notLetIn(config, keys, said)
    },
  }
}
