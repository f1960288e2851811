/** A host or a builder that we are logged in to. Implemented by lib/edge/ssh (and by the edge for this machine). */
import type { Readable, Writable } from 'node:stream'
import { Problem, partsOf, type Stage } from '../problem.ts'
import type { Command, Elevation } from './command.ts'

/** How a command ended. `code` is null when it died of a signal or when the connection was lost: never a success. */
export interface Exit {
  readonly code: number | null
  readonly signal: string | null
  /** true when the connection went away before an exit status arrived */
  readonly lost: boolean
}

/** A running command. Read stderr or leave it: the edge always drains it, and keeps its last 64 KiB. */
export interface Channel {
  readonly stdin: Writable
  readonly stdout: Readable
  /** Never rejects. */
  readonly exit: Promise<Exit>
  /** The last 64 KiB of standard error so far. */
  errorOutput(): string
  /** Every chunk of standard error as it comes; first of all what came before the call. */
  onErrorOutput(listener: (text: string) => void): void
  /** Closes the channel. The command on the other side sees its standard input end, nothing more. */
  close(): void
  /** From now on it is closed when another command waits for a place on its connection. Absent where none ever does. */
  giveWay?(): void
}

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Standard output line by line, as it comes. `stdout` is then the last 256 Ki characters, in whole lines. */
  readonly onLine?: (line: string) => void
}

export interface Finished extends Exit {
  readonly stdout: string
  readonly stderr: string
}

export interface Machine {
  /** The name of the host or builder in hosts.yaml. */
  readonly name: string
  /** What was typed after `ssh`. */
  readonly destination: string
  /** Where the connection leads to: the HostName that the SSH configuration gives for the destination. */
  readonly address: string
  /** The user we are logged in as. */
  readonly user: string
  /**
   * Starts a command. Waits for its turn when the connection has its 8 channels in use. An abort ends the waiting, and
   * later the command, as far as the SSH server allows that (OpenSSH does for ordinary users, not for root). `atOnce`:
   * rejects with a Problem instead of waiting, for whoever holds already what others wait for.
   */
  open(command: Command, signal?: AbortSignal, options?: { readonly atOnce?: true }): Promise<Channel>
  /** Runs a command to its end. Rejects with a Problem when the connection is lost or the time is up; a non-zero code is a value. */
  run(command: Command, options?: RunOptions): Promise<Finished>
  /** Resolves when the connection is gone, whoever closed it. */
  readonly closed: Promise<void>
  close(): Promise<void>
}

/** The host has proved who it is, and accepts none of our keys. */
export class NotLetIn extends Problem {
  override at(place: { host?: string; stage?: Stage }): NotLetIn {
    return new NotLetIn(this.message, { ...place, ...partsOf(this) })
  }
}

/** A key that a host has to prove itself by, whatever known_hosts says. */
export interface PinnedKey {
  /** `ssh-ed25519 AAAA…` */
  readonly key: string
  /** where that is written, for messages */
  readonly from: string
}

export interface Login {
  /** The name in hosts.yaml, for messages. */
  readonly name: string
  /** `[user@]host` or `ssh://[user@]host[:port]` or an alias of ssh_config. */
  readonly destination: string
  readonly elevation: Elevation
  /** Time limit for connecting and logging in, all hops included. */
  readonly timeoutMs?: number
  /** In place of what the SSH configuration says, by keyword (ssh_config(5)). Arguments of programs: no secrets. */
  readonly options?: Readonly<Record<string, string>>
  readonly hostKey?: PinnedKey
  /** Variables for every command, as far as the server takes them. There may be secrets in it: never in arguments. */
  readonly environment?: Readonly<Record<string, string>>
}

/** The way to machines. One call is one fresh connection and one login: nothing is multiplexed behind the caller's back. */
export interface Network {
  /** Rejects with a Problem of kind `unreachable` (or `failed` for a host key that changed or isn't known). */
  connect(login: Login, signal?: AbortSignal): Promise<Machine>
}
