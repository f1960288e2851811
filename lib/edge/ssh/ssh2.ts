/** The ssh2 package, loaded when the first connection is made: it costs a third of a start of this program. */
export type { AnyAuthMethod, BaseAgent, Client, ClientChannel, ConnectConfig, NextAuthHandler, ParsedKey } from 'ssh2'

export type Ssh2 = typeof import('ssh2')

let loaded: Promise<Ssh2> | undefined

export function loadSsh2(): Promise<Ssh2> {
  loaded ??= import('ssh2').then((module) => module.default as Ssh2)
  return loaded
}
