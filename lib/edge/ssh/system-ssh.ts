/**
 * The second transport: OpenSSH's own client, for what ssh2 can't do. One process of ours is the connection, and each
 * command is a session through its control socket. The user's own ControlMaster is never used: a login is a login.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quote } from '../../machine/command.ts'
import { type Login, NotLetIn, type PinnedKey } from '../../machine/machine.ts'
import { Problem } from '../../problem.ts'
import { lost } from '../lost.ts'
import type { Started, Transport } from '../machine.ts'
import { type Process, runProcess, startProcess } from '../process.ts'
import { carefulSource, careless } from './careful-config.ts'
import type { DestinationArguments } from './destination.ts'
import { withoutLanguage } from './environment.ts'
import { type ConfigSource, configArguments, type HostConfig, type HostConfigs } from './host-config.ts'
import { patienceOf } from './keepalive.ts'
import { otherThanPinned } from './trust.ts'
import { address } from './unreachable.ts'

export interface SystemSshTarget {
  readonly login: Login
  readonly source: ConfigSource
  readonly configs: HostConfigs
  readonly destination: DestinationArguments
  readonly config: HostConfig
}

const option = (name: string, value: string | number) => ['-o', `${name}=${value}`]

/** Never asks, never forwards anything, and doesn't share anybody's connection. */
const quiet = [
  ...option('BatchMode', 'yes'),
  ...option('ClearAllForwardings', 'yes'),
  ...option('ForwardX11', 'no'),
  ...option('RemoteCommand', 'none'),
  ...option('RequestTTY', 'no'),
  ...option('EscapeChar', 'none'),
]

/**
 * Runs a program until our end of its standard input closes, then removes a directory: neither connection nor socket
 * may outlive this process, not even when that is killed. Arguments: the directory, then the program.
 */
const leash = `
place=$1
shift
exec 3<&0
# It comes to ssh as well, and interrupts one waiting for its end.
trap : HUP INT TERM
"$@" </dev/null 3<&- &
ssh=$!
# Ours is gone when this process is, and would end us by SIGPIPE.
exec 2>/dev/null
{ trap - HUP INT TERM; cat <&3; kill "$ssh"; } >/dev/null &
watch=$!
wait "$ssh"
code=$?
wait "$ssh"
kill "$watch"
rm -rf "$place"
exit "$code"`

/** Rejects with a Problem when ssh can't log in; what ssh said is its detail. */
export async function systemSsh(target: SystemSshTarget, signal: AbortSignal): Promise<Transport> {
  // A control socket's name must be short, which some machines' temporary directory is not.
  const place = await mkdtemp(join(tmpdir().length > 40 ? '/tmp' : tmpdir(), 'ssh-'))
  try {
    return await connectFrom(place, target, signal)
  } catch (error) {
    await rm(place, { recursive: true, force: true })
    throw error
  }
}

/** `place`: a directory of its own, which is removed at the end of the connection. */
async function connectFrom(place: string, target: SystemSshTarget, signal: AbortSignal): Promise<Transport> {
  const { login, destination, config } = target
  const { name } = login
  const socket = join(place, 's')
  const source = await carefulSource(config, place, { ...target, signal })
  const ssh = ['ssh', ...configArguments(source)]
  // Their names are arguments, their values are not.
  const env = { ...withoutLanguage(), ...login.environment }
  const variables = Object.keys(login.environment ?? {}).flatMap((variable) => option('SendEnv', variable))
  const master = [
    ...ssh,
    ...option('ControlMaster', 'yes'),
    ...option('ControlPath', socket),
    ...option('ControlPersist', 'no'),
    ...option('PermitLocalCommand', 'yes'),
    ...option('LocalCommand', 'echo in'),
    ...(login.hostKey ? await pinned(login.hostKey, place) : trust(config)),
    ...keepalive(config),
    ...quiet,
    // The connection itself lets no variable of a session through that it doesn't know.
    ...variables,
    ...['-N', '-T'],
    ...destination,
  ]
  const connection = await startProcess(['/bin/sh', '-c', leash, 'ssh', place, ...master], { env })
  const closed = connection.exit.then(() => rm(place, { recursive: true, force: true }))
  const close = async () => {
    connection.close()
    await closed
  }
  try {
    await loggedIn(connection, target, signal)
  } catch (error) {
    await close()
    throw error
  }

  // Should the control socket be gone, this must fail and not connect by itself.
  const session = [...ssh, ...option('ControlPath', socket), ...option('ControlMaster', 'no'), ...quiet, ...variables]
  const only = [...session, ...option('ProxyCommand', 'false'), '-T']
  let over = false
  void connection.exit.then(() => {
    over = true
  })

  async function start(argv: readonly string[], abort?: AbortSignal): Promise<Started> {
    if (over) throw lost(name)
    const line = argv.map(quote).join(' ')
    const channel = await startProcess([...only, ...destination, line], { env, ...(abort && { signal: abort }) })
    const alive = async () => !over && (await runProcess([...only, '-O', 'check', ...destination])).code === 0
    // ssh says 255 for itself, and for a command that says 255 or died of a signal.
    const exit = channel.exit.then(async (how) => (how.code === 255 && !(await alive()) ? gone : how))
    return { channel: { ...channel, exit }, freed: exit }
  }
  return { start, closed, close }
}

const gone = { code: null, signal: null, lost: true } as const

/** What the user wants, but a changed key is never accepted. */
const trust = (config: HostConfig): string[] => (careless(config) ? option('StrictHostKeyChecking', 'accept-new') : [])

/** The name of a host whose key is pinned: no other host is called so. */
const alias = 'the-host-with-the-pinned-key'

/** Only this key, whatever the files of the configuration say. `place` is a directory of ours. */
async function pinned({ key }: PinnedKey, place: string): Promise<string[]> {
  const file = join(place, 'known_hosts')
  await writeFile(file, `${alias} ${key}\n`)
  return [
    ...option('UserKnownHostsFile', file),
    ...option('GlobalKnownHostsFile', '/dev/null'),
    ...option('KnownHostsCommand', 'none'),
    ...option('HostKeyAlias', alias),
    ...option('StrictHostKeyChecking', 'yes'),
    ...option('VerifyHostKeyDNS', 'no'),
    ...option('NoHostAuthenticationForLocalhost', 'no'),
    ...option('UpdateHostKeys', 'no'),
  ]
}

function keepalive(config: HostConfig): string[] {
  const { intervalMs, count } = patienceOf(config)
  return [...option('ServerAliveInterval', Math.ceil(intervalMs / 1000)), ...option('ServerAliveCountMax', count)]
}

/** ssh runs its LocalCommand once it is logged in and listens on the control socket. */
async function loggedIn(connection: Process, target: SystemSshTarget, signal: AbortSignal): Promise<void> {
  const { config, login } = target
  let leave = () => {}
  const aborted = new Promise<'aborted'>((resolve) => {
    leave = () => resolve('aborted')
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave)
  })
  const said = new Promise<'in'>((resolve) => connection.stdout.once('data', () => resolve('in')))
  const first = await Promise.race([said, connection.exit, aborted])
  signal.removeEventListener('abort', leave)
  if (first === 'aborted') throw signal.reason
  if (first === 'in') return
  const detail = connection.errorOutput().trim()
  // A host on the way has a name of its own there.
  if (login.hostKey && new RegExp(`host key (is known )?for ${alias} `, 'i').test(detail)) {
    const offered = /^SHA256:[A-Za-z0-9+/]+/m.exec(detail)?.[0] ?? 'another type of key'
    throw otherThanPinned(config.hostName, offered, login.hostKey)
  }
  const Why = /: Permission denied \(/.test(detail) ? NotLetIn : Problem
  throw new Why(`ssh could not log in to ${address(config)}`, {
    kind: 'unreachable',
    detail,
    hints: [`see whether this works, and why not: ssh -v -o BatchMode=yes ${config.typed} true`],
  })
}
