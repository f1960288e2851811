/** The way that packets go to a host: a socket of our own, through other hosts, or a command's input and output. */
import { connect as connectSocket } from 'node:net'
import { Duplex } from 'node:stream'
import { systemClock } from '../clock.ts'
import { startProcess } from '../process.ts'
import { BeyondSsh2 } from './beyond-ssh2.ts'
import { hopArguments } from './destination.ts'
import type { HostConfig } from './host-config.ts'
import type { Attempt, Session } from './session.ts'
import { expandTokens } from './tokens.ts'
import { address, hopRefused, notConnected, proxyFailed, timedOut } from './unreachable.ts'

export interface Link {
  readonly stream: Duplex
  /** What to say when the other side never spoke SSH; undefined for a plain socket. */
  readonly failed?: () => Promise<Error>
  /** Aborted when a hop before this host is gone. */
  readonly over?: AbortSignal
  close(): void
}

/** Logs in to a host on the way, through those before it. */
export type HopLogin = (hop: HostConfig, before: readonly string[]) => Promise<Session>

interface Way {
  /** the hops before this host when they were given by another host's ProxyJump */
  readonly jumps: readonly string[]
  readonly throughHop: HopLogin
}

export async function openLink(config: HostConfig, { jumps, throughHop }: Way, attempt: Attempt): Promise<Link> {
  const hops = jumps.length > 0 ? jumps : config.list('proxyjump')
  const last = hops.at(-1)
  if (last !== undefined) {
    const hop = await attempt.configs.get(hopArguments(last), attempt.signal)
    return forwarded(config, { hop, session: await throughHop(hop, hops.slice(0, -1)) }, attempt)
  }
  const command = config.one('proxycommand')
  return command === undefined ? openSocket(config, attempt.signal) : throughCommand(config, command, attempt.signal)
}

function forwarded(
  config: HostConfig,
  { hop, session }: { hop: HostConfig; session: Session },
  attempt: Attempt,
): Promise<Link> {
  attempt.doing(`asking ${hop.original} for ${address(config)}`)
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      void session.close()
      reject(error)
    }
    const leave = () => fail(attempt.signal.reason)
    attempt.signal.addEventListener('abort', leave)
    session.over.addEventListener('abort', () => fail(notConnected(hop, new Error('the connection was lost'))))
    session.client.forwardOut('127.0.0.1', 0, config.hostName, config.port, (error, stream) => {
      attempt.signal.removeEventListener('abort', leave)
      if (error) return fail(hopRefused(hop, config, error))
      resolve({ stream, over: session.over, close: () => void session.close() })
    })
  })
}

/** As OpenSSH runs it: by the user's shell, replaced by the command (ssh_config(5), ProxyCommand). */
async function throughCommand(config: HostConfig, template: string, signal: AbortSignal): Promise<Link> {
  if (config.on('proxyusefdpass')) throw new BeyondSsh2('ProxyUseFdpass')
  const command = expandTokens(template, config)
  const proxy = await startProcess([process.env['SHELL'] || '/bin/sh', '-c', `exec ${command}`])
  const stream = Duplex.from({ readable: proxy.stdout, writable: proxy.stdin })
  // Its last words may come after its output has ended.
  const failed = async () => {
    await Promise.race([proxy.exit, systemClock.sleep(1000)])
    return proxyFailed(config, command, proxy.errorOutput().trim())
  }
  const close = () => proxy.close()
  signal.addEventListener('abort', close, { once: true })
  void proxy.exit.then(() => stream.destroy())
  return { stream, failed, close }
}

/**
 * ssh2's own sockets leave Nagle's algorithm on, which costs 40 ms a command. Of several addresses each gets two
 * seconds; Node's default of a quarter would give up on hosts at the end of a slow line.
 */
function openSocket(config: HostConfig, signal: AbortSignal): Promise<Link> {
  if (config.one('bindinterface') !== undefined) return Promise.reject(new BeyondSsh2('BindInterface'))
  const family = { inet: 4, inet6: 6 }[config.one('addressfamily') ?? '']
  const localAddress = config.one('bindaddress')
  const seconds = Number(config.one('connecttimeout') ?? 0)
  return new Promise((resolve, reject) => {
    const socket = connectSocket({
      host: config.hostName,
      port: config.port,
      noDelay: true,
      keepAlive: true,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: 2000,
      ...(family && { family }),
      ...(localAddress !== undefined && { localAddress }),
    })
    const patience = seconds > 0 ? setTimeout(() => fail(timedOut(config, seconds)), seconds * 1000) : undefined
    const settle = () => {
      clearTimeout(patience)
      signal.removeEventListener('abort', leave)
    }
    const fail = (error: unknown) => {
      settle()
      socket.destroy()
      reject(error)
    }
    const leave = () => fail(signal.reason)
    signal.addEventListener('abort', leave)
    socket.on('error', (error) => fail(notConnected(config, error)))
    socket.on('connect', () => {
      settle()
      resolve({ stream: socket, close: () => socket.destroy() })
    })
  })
}
