/** The way to hosts and builders: SSH, with everything that the user's own configuration says. */
import type { Login, Machine, Network } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { machineOver, type Transport } from './machine.ts'
import { Slots } from './slots.ts'
import { BeyondSsh2 } from './ssh/beyond-ssh2.ts'
import { type DestinationArguments, destinationArguments, optionArguments } from './ssh/destination.ts'
import { type ConfigSource, HostConfigs } from './ssh/host-config.ts'
import { logIn } from './ssh/login.ts'
import type { Attempt } from './ssh/session.ts'
import { loadSsh2 } from './ssh/ssh2.ts'
import { ssh2Transport } from './ssh/ssh2-transport.ts'
import { systemSsh } from './ssh/system-ssh.ts'
import { TimeLimit } from './ssh/time-limit.ts'

export interface SshNetworkOptions extends ConfigSource {
  /** The password that sudo wants there, for elevation `ask`: asked for at most once a host. Rejects when nobody can be asked. */
  readonly password?: (name: string) => Promise<string>
  /** Hears why a connection is made by OpenSSH's client instead of ssh2. */
  readonly trace?: (name: string, line: string) => void
  /** Hears what a person should know of a login that came about all the same. */
  readonly warn?: (name: string, text: string) => void
}

/** Key exchanges stall the event loop, and sshd drops logins beyond ten that are not through yet (MaxStartups). */
const loginsAtOnce = 8

export function sshNetwork(options: SshNetworkOptions = {}): Network {
  const configs = new HostConfigs(options)
  const logins = new Slots(loginsAtOnce)
  const passwords = new Map<string, Promise<string>>()
  /** Destinations that ssh2 can't serve: known after the first time. */
  const foreign = new Set<string>()

  async function transportTo(login: Login, destination: DestinationArguments, attempt: Attempt) {
    const configured = configs.get(destination, attempt.signal)
    // While OpenSSH's client looks for its answer.
    void loadSsh2()
    const config = await configured
    const bySystem = (): Promise<Transport> => {
      attempt.doing(`waiting for ssh to log in to ${config.original}`)
      const target = { source: options, configs, destination, config, login }
      return systemSsh(target, attempt.signal)
    }
    if (foreign.has(login.destination)) return { config, transport: await bySystem() }
    try {
      const session = await logIn(config, { pinned: login.hostKey }, attempt)
      return { config, transport: ssh2Transport(session, config, login) }
    } catch (error) {
      if (!(error instanceof BeyondSsh2)) throw error
      foreign.add(login.destination)
      options.trace?.(login.name, `using OpenSSH's client: ${error.message}`)
      return { config, transport: await bySystem() }
    }
  }

  async function connect(login: Login, signal?: AbortSignal): Promise<Machine> {
    const release = await logins.take(signal)
    try {
      const destination = [...optionArguments(login.options ?? {}), ...destinationArguments(login.destination)]
      const warn = (text: string) => options.warn?.(login.name, text)
      const limited = new TimeLimit(login, warn, signal)
      const { config, transport } = await limited.run((attempt) => transportTo(login, destination, attempt), configs)
      const { name, elevation } = login
      const password = { ask: () => passwordFor(name), forget: () => void passwords.delete(name) }
      const facts = { name, destination: login.destination, address: config.hostName, user: config.user }
      return machineOver(transport, { ...facts, elevation, password })
    } catch (error) {
      throw error instanceof Problem ? error.at({ host: login.name }) : error
    } finally {
      release()
    }
  }

  function passwordFor(name: string): Promise<string> {
    const asked = passwords.get(name) ?? options.password?.(name) ?? Promise.reject(noPassword(name))
    passwords.set(name, asked)
    return asked
  }

  return { connect }
}

const noPassword = (name: string) =>
  new Problem(`sudo on ${name} wants a password, and nobody can be asked for it`, { host: name })
