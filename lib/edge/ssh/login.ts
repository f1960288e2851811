/** One login by ssh2, after the host has proved who it is. */
import { algorithms } from './algorithms.ts'
import { authentication } from './authentication.ts'
import { BeyondSsh2 } from './beyond-ssh2.ts'
import type { HostConfig } from './host-config.ts'
import { type Identities, identities } from './identities.ts'
import { listenFor, patienceOf } from './keepalive.ts'
import { type KnownHost, knownHost, pinnedHost, remember } from './known-hosts.ts'
import { type HopLogin, type Link, openLink } from './route.ts'
import type { Attempt, Session, Way } from './session.ts'
import { type Client, type ConnectConfig, loadSsh2, type Ssh2 } from './ssh2.ts'
import { judge } from './trust.ts'
import { address, closedEarly, timedOut } from './unreachable.ts'

/** Rejects with a Problem, or with `BeyondSsh2` when OpenSSH's own client might manage. */
export async function logIn(config: HostConfig, { jumps = [], pinned }: Way, attempt: Attempt): Promise<Session> {
  refuseForeign(config)
  const { signal } = attempt
  const known = pinned ? pinnedHost(config, pinned) : knownHost(config, signal)
  const [ssh2, host, keys] = await Promise.all([loadSsh2(), known, identities(config, signal)])
  if (host.keys.length > 0 && host.keys.every((known) => known.marker === 'cert-authority'))
    throw new BeyondSsh2(`${host.name} is known by a certificate authority`)
  if (keys.agentKeys.length + keys.files.length === 0 && keys.beyond.length > 0)
    throw new BeyondSsh2(`the only keys are ${keys.beyond.join(', ')}`)
  attempt.doing(`connecting to ${address(config)}`)
  const throughHop: HopLogin = (hop, before) => logIn(hop, { jumps: before }, attempt.deeper())
  const link = await openLink(config, { jumps, throughHop }, attempt)
  try {
    attempt.doing(`waiting for the login at ${address(config)}`)
    return await shakeHands({ ssh2, config, host, keys, link }, attempt)
  } catch (error) {
    link.close()
    throw error
  }
}

/** Means of the configuration that ssh2 has no counterpart for. */
function refuseForeign(config: HostConfig): void {
  for (const keyword of ['pkcs11provider', 'knownhostscommand', 'revokedhostkeys'])
    if (config.one(keyword) !== undefined) throw new BeyondSsh2(keyword)
  if (!['no', 'false', undefined].includes(config.one('verifyhostkeydns'))) throw new BeyondSsh2('VerifyHostKeyDNS')
  if (config.on('hostbasedauthentication')) throw new BeyondSsh2('HostbasedAuthentication')
}

interface Parts {
  readonly ssh2: Ssh2
  readonly config: HostConfig
  readonly host: KnownHost
  readonly keys: Identities
  readonly link: Link
}

function shakeHands(parts: Parts, { signal, warn }: Attempt): Promise<Session> {
  const { ssh2, config, host, keys, link } = parts
  const client = new ssh2.Client()
  const over = new AbortController()
  const patience = patienceOf(config)
  /** The key that the host showed, and what we think of it. */
  let shown: { key: Buffer; verdict: 'known' | 'new' } | undefined
  let refusal: unknown
  const auth = authentication(ssh2, config, keys)

  return new Promise((resolve, reject) => {
    let ears: ReturnType<typeof listenFor> | undefined
    const fail = (error: unknown) => {
      end()
      reject(error)
    }
    const leave = () => fail(signal.reason)
    const end = () => {
      signal.removeEventListener('abort', leave)
      ears?.stop()
      over.abort()
      client.destroy()
      link.close()
    }
    const explain = (error: Error & { level?: string }) => {
      if (refusal) return refusal
      if (auth.exhausted()) return auth.failure()
      // Negotiation ended before the host showed any key: the two have no algorithm in common.
      if (error.level === 'handshake' && !shown) return new BeyondSsh2(error.message)
      return link.failed && !shown ? link.failed() : closedEarly(config, error)
    }
    const failFor = (error: Error) => {
      const why = explain(error)
      if (why instanceof Promise) void why.then(fail)
      else fail(why)
    }
    client.on('error', (error: Error & { level?: string }) => {
      // Without the agent, or the key it won't sign with, there may be other keys.
      if (error.level === 'agent' || (error.level === 'client-authentication' && !auth.exhausted())) return
      if (auth.disconnected(error)) return fail(auth.failure())
      failFor(error)
    })
    client.on('close', () => failFor(new Error('it hung up')))
    client.on('ready', () => {
      signal.removeEventListener('abort', leave)
      const welcome = shown?.verdict === 'new' ? remember(host, shown.key, config) : Promise.resolve(undefined)
      welcome.then((warning) => {
        if (warning !== undefined) warn(warning)
        resolve({ client, over: over.signal, close: () => hangUp(client, over.signal, end) })
      }, fail)
    })
    client.connect({
      sock: link.stream as NonNullable<ConnectConfig['sock']>,
      username: config.user,
      readyTimeout: 0,
      keepaliveInterval: patience.intervalMs,
      keepaliveCountMax: Number.POSITIVE_INFINITY,
      algorithms: algorithms(config, host),
      authHandler: auth.next,
      hostVerifier: (key: Buffer) => {
        try {
          shown = { key, verdict: shown?.key.equals(key) ? shown.verdict : judge(key, host, config) }
          return true
        } catch (error) {
          refusal = error
          return false
        }
      },
    } as ConnectConfig)
    const silence = timedOut(config, (patience.intervalMs * patience.count) / 1000)
    ears = listenFor(link.stream, patience, () => fail(silence))
    link.over?.addEventListener('abort', () => failFor(new Error('the host before it is gone')))
    signal.addEventListener('abort', leave)
    if (signal.aborted) leave()
  })
}

/** Says goodbye. Nobody waits for the answer, which takes a turn; without one the connection is ended a second later. */
async function hangUp(client: Client, over: AbortSignal, end: () => void): Promise<void> {
  if (over.aborted) return
  const timer = setTimeout(end, 1000)
  over.addEventListener('abort', () => clearTimeout(timer))
  client.end()
}
